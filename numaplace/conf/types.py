# SPDX-License-Identifier: Apache-2.0
"""Types of option values; the error of each names the forms that it accepts."""

import re
from collections.abc import Iterable
from typing import Any

from oslo_config import types

from numaplace import architecture, cpuset, exception, pci_specs, units
from numaplace.memory_kinds import SPECIAL

__all__ = [
    'Choice',
    'CpuFlags',
    'CpuList',
    'CpuModels',
    'GuestMix',
    'Integer',
    'Machines',
    'MemoryList',
    'NodeList',
    'PciAlias',
    'PciDeviceSpecs',
    'PmemNamespaces',
    'Ratio',
    'ReservedPages',
    'Switch',
    'Weight',
]

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]*')
#: As Nova accepts it in hw:pmem.
_LABEL = re.compile(r'[A-Za-z0-9_]+')
#: Cells, CPUs and MiB of each cell, and the number of a kind of guests.
_KIND = re.compile(r'\s*x\s*'.join([r'([0-9]{1,9})'] * 3) + r'\s*:\s*([0-9]{1,9})')
#: As in libvirt's schema.
_MACHINE = re.compile(r'[A-Za-z0-9_.-]+')


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
        if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
            raise ValueError("expected numbers of host cells such as '0,1'")
        return tuple(int(word) for word in words)

    def _formatter(self, value: tuple[int, ...]) -> str:
        return ','.join(map(str, value))


class MemoryList(_Type):
    """Kinds of memory and host cells by number, separated by commas; the value is a tuple of words and numbers."""

    def __init__(self) -> None:
        super().__init__('list of kinds of memory and of host cell numbers')

    def __call__(self, value: str | tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        words = [word.strip() for word in value.split(',') if word.strip()]
        return tuple(word if word in SPECIAL else self._number(word) for word in words)

    def _number(self, word: str) -> int:
        if not (word.isascii() and word.isdigit() and len(word) <= 9):
            raise ValueError(f"expected some of {', '.join(SPECIAL)}, and numbers of host cells, such as 'cxl,8'")
        return int(word)

    def _formatter(self, value: tuple[str | int, ...]) -> str:
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
    """An overcommit factor above zero, small enough that the product with the size of a host cannot overflow."""

    #: More than any real overcommit factor.
    MOST = 1_000_000

    def __init__(self, *, unset: bool = False) -> None:
        """Make the type; `unset` says whether 0 is accepted, as if the option was not set."""
        super().__init__('ratio')
        self._unset = unset
        self.forms = f"expected a number above 0, up to {self.MOST}, such as '1.0' or '16'"
        if unset:
            self.forms += ", or '0.0' for none"

    def __call__(self, value: str | float) -> float:
        """Return the value of a text; a ValueError names the accepted forms."""
        number = self._read(value)
        if not 0 < number <= self.MOST and not (self._unset and number == 0):
            raise ValueError(self.forms)
        return number


class Weight(_Number):
    """The multiplier of a weigher; a negative one reverses the order."""

    forms = "expected a number such as '1.0' or '-1.0'"

    def __init__(self) -> None:
        super().__init__('number')

    def __call__(self, value: str | float) -> float:
        """Return the value of a text; a ValueError names the accepted forms."""
        return self._read(value)


class Integer(_Type):
    """A whole number from `low` on, or to `high`."""

    def __init__(self, low: int, high: int | None = None) -> None:
        super().__init__('whole number')
        self.low, self.high = low, high

    def __call__(self, value: str | int) -> int:
        """Return the value of a text; a ValueError names the accepted forms."""
        text = str(value).strip()
        is_number = text.isascii() and text.isdigit() and len(text) <= 9
        if not is_number or int(text) < self.low or (self.high is not None and int(text) > self.high):
            end = 'on' if self.high is None else f'to {self.high}'
            raise ValueError(f'expected a whole number from {self.low} {end}')
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
    """Pages reserved in one host cell; the value is ``(cell, size in KiB, count)``."""

    forms = (
        "expected the form 'node:0,size:2048,count:64' (size in KiB, or with a unit such as '2MB' or '1GiB': "
        f'{units.PAGE_SIZE})'
    )

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
        try:
            size_kib = self._number(text) if text.isascii() and text.isdigit() else units.parse_kib(text)
        except exception.Invalid as error:
            raise ValueError(f'{error}; {self.forms}') from error
        if not units.is_page_size(size_kib):
            raise ValueError(self.forms)
        return size_kib


class PciAlias(_Type):
    """A name for PCI devices; the value is a :class:`~numaplace.pci_specs.Alias`."""

    def __init__(self) -> None:
        super().__init__('alias of PCI devices')

    def __call__(self, value: str) -> pci_specs.Alias:
        """Return the value of a text; a ValueError names the accepted forms."""
        try:
            return pci_specs.read_alias(value)
        except exception.PciInvalidAlias as error:
            raise ValueError(str(error)) from error


class PciDeviceSpecs(_Type):
    """PCI devices that guests may have; the value is a tuple of :class:`~numaplace.pci_specs.DeviceSpec`."""

    def __init__(self) -> None:
        super().__init__('PCI devices')

    def __call__(self, value: str) -> tuple[pci_specs.DeviceSpec, ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        try:
            return pci_specs.read_device_specs(value)
        except exception.PciConfigInvalidSpec as error:
            raise ValueError(str(error)) from error


class CpuModels(_Type):
    """CPU models, separated by commas; the value is a tuple of names."""

    def __init__(self) -> None:
        super().__init__('list of CPU models')

    def __call__(self, value: str | tuple[str, ...]) -> tuple[str, ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        return tuple(_names(value, "expected names of CPU models such as 'Haswell,Broadwell'"))

    def _formatter(self, value: tuple[str, ...]) -> str:
        return ','.join(value)


class CpuFlags(_Type):
    """CPU features with or without a sign, separated by commas; the value is a tuple of names and policies."""

    forms = "expected names of CPU features such as '-pdpe1gb, +vmx, pcid'"

    def __init__(self) -> None:
        super().__init__('list of CPU features')

    def __call__(self, value: str | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        policies: dict[str, str] = {}
        for word in filter(None, (word.strip().lower() for word in value.split(','))):
            policy = 'disable' if word.startswith('-') else 'require'
            name = word[1:] if word[0] in '+-' else word
            if not _NAME.fullmatch(name):
                raise ValueError(self.forms)
            if policies.setdefault(name, policy) != policy:
                raise ValueError(f'{name} is both required and forbidden; {self.forms}')
        return tuple(policies.items())

    def _formatter(self, value: tuple[tuple[str, str], ...]) -> str:
        return ','.join(('-' if policy == 'disable' else '+') + name for name, policy in value)


class PmemNamespaces(_Type):
    """Labels with namespaces of persistent memory, as Nova spells them; the value is a tuple of pairs."""

    forms = "expected labels with namespaces, such as '6GB:ns0|ns1,LARGE:ns3'"

    def __init__(self) -> None:
        super().__init__('list of labels with namespaces')

    def __call__(self, value: str | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return the label of each namespace; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        labels: dict[str, str] = {}
        for word in filter(None, (word.strip() for word in value.split(','))):
            label, _, names = (part.strip() for part in word.partition(':'))
            if not _LABEL.fullmatch(label) or not names:
                raise ValueError(self.forms)
            for name in (name.strip() for name in names.split('|')):
                if not _NAME.fullmatch(name):
                    raise ValueError(self.forms)
                if name in labels:
                    raise ValueError(f'namespace {name} is there twice; {self.forms}')
                labels[name] = label
        return tuple(labels.items())

    def _formatter(self, value: tuple[tuple[str, str], ...]) -> str:
        return ','.join(f'{label}:{name}' for name, label in value)


class GuestMix(_Type):
    """Kinds of guests, separated by commas; the value is a tuple of their cells, CPUs, MiB and number."""

    forms = (
        'expected kinds of guests as CELLSxCPUSxMIB:NUMBER, CPUs and memory of each cell, numbers from 1 to 999999999, '
        "such as '1x2x4096:120,2x8x16384:10'"
    )

    def __init__(self) -> None:
        super().__init__('list of kinds of guests')

    def __call__(self, value: str | tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        return tuple(self._kind(word) for word in value.split(',') if word.strip())

    def _kind(self, word: str) -> tuple[int, ...]:
        found = _KIND.fullmatch(word.strip())
        numbers = tuple(map(int, found.groups())) if found else (0,)
        if not all(numbers):
            raise ValueError(self.forms)
        return numbers

    @staticmethod
    def text(value: Iterable[tuple[int, ...]]) -> str:
        """Return the text that has a value."""
        return ','.join('{}x{}x{}:{}'.format(*kind) for kind in value)

    def _formatter(self, value: tuple[tuple[int, ...], ...]) -> str:
        return self.text(value)


class Machines(_Type):
    """Machine types by architecture, separated by commas; the value is a tuple of pairs, with libvirt's names."""

    forms = "expected pairs of an architecture and a machine type such as 'x86_64=q35,aarch64=virt'"

    def __init__(self) -> None:
        super().__init__('list of machine types')

    def __call__(self, value: str | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return the value of a text; a ValueError names the accepted forms."""
        if not isinstance(value, str):
            return value
        machines: dict[str, str] = {}
        for word in filter(None, (word.strip() for word in value.split(','))):
            arch, _, machine = (part.strip() for part in word.partition('='))
            if not (_NAME.fullmatch(arch) and _MACHINE.fullmatch(machine)):
                raise ValueError(self.forms)
            arch = architecture.canonical(arch)
            if machines.setdefault(arch, machine) != machine:
                raise ValueError(f'{arch} has two machine types; {self.forms}')
        return tuple(machines.items())

    def _formatter(self, value: tuple[tuple[str, str], ...]) -> str:
        return ','.join(map('='.join, value))


def _names(text: str, forms: str) -> list[str]:
    names = [word.strip() for word in text.split(',') if word.strip()]
    if not all(map(_NAME.fullmatch, names)):
        raise ValueError(forms)
    return names
