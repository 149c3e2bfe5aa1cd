# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that the query of the request excludes."""

import json
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from numaplace import exception
from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.filters.compute_capabilities import capabilities, look_up

__all__ = ['JsonFilter']

_FORMS = 'expected JSON such as [">=", "$free_ram_mb", 1024], with =, <, >, in, <=, >=, not, or and "and"'


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Any]:
    """Return an operator that compares the first argument with each of the others, of which there is one at least."""
    return lambda words: len(words) > 1 and all(compare(words[0], word) for word in words[1:])


_OPERATORS: Mapping[str, Callable[[list[Any]], Any]] = {
    '=': _compare(operator.eq),
    '<': _compare(operator.lt),
    '>': _compare(operator.gt),
    '<=': _compare(operator.le),
    '>=': _compare(operator.ge),
    'in': lambda words: len(words) > 1 and words[0] in words[1:],
    # A list, which is true wherever it is an argument: as in Nova, whose queries are written for that.
    'not': lambda words: [not word for word in words],
    'or': any,
    'and': all,
}


class JsonFilter(Filter):
    """Hint ``query``: a JSON list of an operator and its arguments; ``$NAME`` stands for what is known of the host.

    Arguments that are unknown are left out.
    """

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``hint.query``; the subject is the query.

        :raises: :class:`~numaplace.exception.Invalid` for a query that cannot be read, or not be applied to the host
        """
        text = request.instance.hints.get('query', ('',))[0]
        try:
            answer = _evaluate(_parse(text), capabilities(host)) if text else True
        except (ValueError, TypeError, KeyError, RecursionError):
            raise exception.Invalid(f'hint query={text}: {_FORMS}') from None
        passes = any(answer) if isinstance(answer, list) else answer
        return True if passes else Refusal.of(Reason('hint.query', subject=text))


_parse = lru_cache(maxsize=8)(json.loads)


def _evaluate(query: Any, known: Mapping[str, Any]) -> Any:
    if not query:
        return True
    words = [_argument(word, known) for word in query[1:]]
    return _OPERATORS[query[0]]([word for word in words if word is not None])


def _argument(word: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(word, list):
        return _evaluate(word, known)
    if not isinstance(word, str):
        return word
    return look_up(known, word[1:].split('.')) if word.startswith('$') else word or None
