# SPDX-License-Identifier: Apache-2.0
"""Two states of a fleet side by side: how many more guests fit, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from numaplace import explain
from numaplace.fleet.capacity import Capacity
from numaplace.fleet.findings import Finding

__all__ = ['Difference', 'compare', 'lines', 'new_and_gone']

_HEAD = ('', 'before', 'after', 'difference')


@dataclass(frozen=True, slots=True)
class Difference:
    """How many more guests of a flavor fit, before and after; each is a pair of the lower and the upper bound.

    :param host: None for the whole fleet
    """

    flavor: str
    host: str | None
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the largest difference that the bounds allow."""
        return self.after[0] - self.before[1], self.after[1] - self.before[0]


def compare(before: Sequence[Capacity], after: Sequence[Capacity]) -> list[Difference]:
    """Return the differences by flavor, the whole fleet first, then hosts by name; a host that is not there takes none.

    :param before: one for each flavor and host, or the whole fleet
    :param after: the same of the other state
    """
    old, new = _by_place(before), _by_place(after)
    order = {flavor: number for number, (flavor, _host) in reversed([*enumerate([*old, *new])])}
    places = sorted(old.keys() | new.keys(), key=lambda place: (order[place[0]], place[1] is not None, place[1] or ''))
    return [Difference(*place, old.get(place, (0, 0)), new.get(place, (0, 0))) for place in places]


def _by_place(found: Sequence[Capacity]) -> dict[tuple[str, str | None], tuple[int, int]]:
    return {(each.flavor, each.host): (each.at_least, each.at_most) for each in found}


def new_and_gone(before: Sequence[Finding], after: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that come with a change, and those that go with it, in the order of an audit."""
    old, new = Counter(before), Counter(after)
    return (
        sorted((new - old).elements(), key=lambda finding: finding.order),
        sorted((old - new).elements(), key=lambda finding: finding.order),
    )


def lines(found: Sequence[Difference], new: Sequence[Finding], gone: Sequence[Finding]) -> Iterator[str]:
    """Yield both states as text: a table of the numbers, if there are any, then the findings."""
    if found:
        rows = [_HEAD, *map(_row, found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *numbers in rows:
            cells = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
            yield '  '.join((name.ljust(widths[0]), *cells))
    for title, findings in (('findings that are new', new), ('findings that are gone', gone)):
        yield f'{title}: {len(findings) or "none"}'
        yield from (f'  {_sentence(finding)}' for finding in findings)


def _row(one: Difference) -> tuple[str, str, str, str]:
    name = explain.escape(one.flavor) if one.host is None else f'  {explain.escape(one.host)}'
    return name, _range(one.before), _range(one.after), _range(one.bounds, '+')


def _range(bounds: tuple[int, int], sign: str = '') -> str:
    """Return bounds as text; `sign` is that of the format: + shows it for positive numbers too."""
    least, most = [format(number, f'{sign if number else ""},') for number in bounds]
    return least if least == most else f'at least {least}, at most {most}'


def _sentence(finding: Finding) -> str:
    place = ''.join([f'{explain.escape(word)}: ' for word in (finding.host, finding.server) if word is not None])
    return f'{finding.severity}: {place}{explain.escape(finding.text)} ({finding.code})'
