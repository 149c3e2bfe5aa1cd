# SPDX-License-Identifier: Apache-2.0
"""Formats of plain text, in which lists, dicts and what is not set have the form of JSON, not that of Python."""

from __future__ import annotations

import argparse
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from cliff import columns
from cliff.formatters import base as formatters

__all__ = ['FORMATS', 'JSON', 'AtOnce', 'Plain']

#: The formats whose values cliff writes as Python does.
FORMATS = ('csv', 'shell', 'value')

#: The format that cliff writes in very many small parts.
JSON = 'json'

#: What a shell replaces between double quotes; cliff escapes the quotes.
_EXPANDED = re.compile(r'[\\$`]')


class AtOnce(formatters.ListFormatter, formatters.SingleFormatter):
    """A formatter whose output is written at once: each write to a guarded stream takes its time.

    :param wrapped: the formatter of cliff
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """Add nothing: the options are those of the wrapped formatter, which has added them."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write all things."""
        text = io.StringIO()
        self._wrapped.emit_list(column_names, [self._row(row) for row in data], text, parsed_args)
        stdout.write(text.getvalue())

    def emit_one(
        self, column_names: Sequence[str], data: Sequence[Any], stdout: TextIO, parsed_args: argparse.Namespace
    ) -> None:
        """Write one thing."""
        text = io.StringIO()
        self._wrapped.emit_one(column_names, self._row(data), text, parsed_args)
        stdout.write(text.getvalue())

    def _row(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return the values of a thing as they are written."""
        return values


class Plain(AtOnce):
    """A formatter whose values are converted before cliff writes them.

    :param wrapped: the formatter of cliff
    :param form: one of FORMATS
    """

    def __init__(self, wrapped: Any, form: str) -> None:
        super().__init__(wrapped)
        self._form = form

    def _row(self, values: Sequence[Any]) -> Sequence[Any]:
        return [self._text(value) for value in values]

    def _text(self, value: Any) -> Any:
        if isinstance(value, columns.FormattableColumn):
            value = value.machine_readable()
        if value is None:
            return ''
        if isinstance(value, (bool, dict, list, tuple)):
            value = json.dumps(value, ensure_ascii=False)
        if self._form == 'shell' and isinstance(value, str):
            return _EXPANDED.sub(r'\\\g<0>', value)
        return value
