# SPDX-License-Identifier: Apache-2.0
"""Types of option values; each says in its error which forms it accepts."""

from typing import Any

from oslo_config import types

from numaplace import cpuset, exception, units

__all__ = ['Choice', 'CpuList', 'Integer', 'NodeList', 'Ratio', 'ReservedPages', 'Switch', 'Weight']


class _Type(types.ConfigType):
    def _formatter(self, value: Any) -> str:
        return str(value)

    def __repr__(self) -> str:
        return type(self).__name__

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class CpuList(_Type):
    """A list of host CPUs; the value is a mask."""

    def __init__(self) -> None:
        super().__init__('list of CPUs')

    def __call__(self, value: str) -> int:
        """Return the value of a text; a ValueError names the accepted forms."""
        try:
            cpus = cpuset.parse(value)
        except exception.Invalid as error:
            raise ValueError(str(error)) from error
        if not cpus:
            raise ValueError("it names no CPU: expected a list such as '0-3,8,^2'")
        return cpus


class NodeList(_Type):
    """Host cells by number, separated by commas; the value is a tuple."""

    def __init__(self) -> None:
        super().__init__('list of host cell numbers')

    def __call__(self, value: str | tuple[int, ...]) -> tuple[int, ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        words = [word.strip() for word in value.split(',') if word.strip()]
        if not all(word.isascii() and word.isdigit() for word in words):
            raise ValueError("expected numbers of host cells such as '0,1'")
        return tuple(int(word) for word in words)

    def _formatter(self, value: tuple[int, ...]) -> str:
        return ','.join(map(str, value))


class _Number(_Type):
    #: What the type accepts, for the error.
    forms = ''

    def _read(self, value: str | float) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float('nan')
        if not abs(number) < float('inf'):
            raise ValueError(self.forms)
        return number


class Ratio(_Number):
    """A factor of overcommitment, above zero and far from what the product with a host's size overflows at."""

    #: More than any host is overcommitted.
    MOST = 1_000_000

    forms = f"expected a number above 0, up to {MOST}, such as '1.0' or '16'"

    def __init__(self) -> None:
        super().__init__('ratio')

    def __call__(self, value: str | float) -> float:
        """Return the value of a text; a ValueError names the accepted forms."""
        number = self._read(value)
        if not 0 < number <= self.MOST:
            raise ValueError(self.forms)
        return number


class Weight(_Number):
    """A factor of a weigher; negative turns it round."""

    forms = "expected a number such as '1.0' or '-1.0'"

    def __init__(self) -> None:
        super().__init__('number')

    def __call__(self, value: str | float) -> float:
        """Return the value of a text; a ValueError names the accepted forms."""
        return self._read(value)


class Integer(_Type):
    """A whole number from `low` on."""

    def __init__(self, low: int) -> None:
        super().__init__('whole number')
        self.low = low

    def __call__(self, value: str | int) -> int:
        """Return the value of a text; a ValueError names the accepted forms."""
        text = str(value).strip()
        if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < self.low:
            raise ValueError(f'expected a whole number from {self.low} on')
        return int(text)


class Switch(types.Boolean):
    """True or false."""

    def __call__(self, value: Any) -> bool:
        """Return the value of a text; a ValueError names the accepted forms."""
        try:
            return bool(super().__call__(value))
        except ValueError as error:
            raise ValueError('expected true or false') from error


class Choice(_Type):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        super().__init__('one of ' + ', '.join(words))
        self.words = words

    def __call__(self, value: str) -> str:
        """Return the value of a text; a ValueError names the accepted forms."""
        word = value.strip()
        if word not in self.words:
            raise ValueError(f'expected one of {", ".join(self.words)}')
        return word


class ReservedPages(_Type):
    """Pages kept back in one host cell; the value is ``(cell, size in KiB, count)``."""

    forms = "expected the form 'node:0,size:2048,count:64' (size in KiB, or with a unit such as '2MB' or '1GiB')"

    def __init__(self) -> None:
        super().__init__('reserved pages')

    def __call__(self, value: str) -> tuple[int, int, int]:
        """Return the value of a text; a ValueError names the accepted forms."""
        pairs = [word.partition(':') for word in value.split(',')]
        parts = {key.strip(): text.strip() for key, _, text in pairs}
        if len(parts) != len(pairs) or set(parts) != {'node', 'size', 'count'}:
            raise ValueError(self.forms)
        return self._number(parts['node']), self._size(parts['size']), self._number(parts['count'])

    def _number(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > 15:
            raise ValueError(self.forms)
        return int(text)

    def _size(self, text: str) -> int:
        if text.isascii() and text.isdigit():
            return self._number(text)
        try:
            return units.parse_kib(text)
        except exception.Invalid as error:
            raise ValueError(f'{error}; {self.forms}') from error
