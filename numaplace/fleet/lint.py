# SPDX-License-Identifier: Apache-2.0
"""What is wrong with flavors: one table of all codes, each flavor by itself, then all of them with the hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from numaplace import exception, explain, request
from numaplace.fit.memory import backing_pages
from numaplace.fleet.configuration import check_flavors
from numaplace.fleet.findings import ERROR, WARNING
from numaplace.model import Flavor, Guest, HostCell
from numaplace.model.records import HostRecord
from numaplace.request import cpu_topology, verdicts
from numaplace.request.idle_keys import idle_keys

__all__ = ['CODES', 'Code', 'Finding', 'lint']


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding.

    :param severity: an error refuses every server with the flavor, whatever the hosts are
    :param cure: what to do, as an imperative clause
    """

    severity: str
    cure: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    :param flavor: its name; empty for what is wrong with the image by itself
    :param key: the extra spec or the property of the image, or empty if it is about several or none
    :param text: what is so, as one line that begins with the place
    """

    code: str
    flavor: str
    key: str
    text: str

    @property
    def severity(self) -> str:
        """ERROR or WARNING."""
        return CODES[self.code].severity

    @property
    def cure(self) -> str:
        """What to do."""
        return CODES[self.code].cure

    @property
    def order(self) -> tuple[str, str, str, str]:
        """Sorts findings: errors first, then by flavor, code and key."""
        return self.severity, self.flavor, self.code, self.key


CODES: Mapping[str, Code] = {
    # --- one key
    'key.value': Code(ERROR, 'give a value of that form, or remove the key'),
    'key.unsupported': Code(ERROR, 'remove the key, or leave such servers to Nova'),
    'key.unknown': Code(WARNING, 'use the key that is meant, or remove this one'),
    'key.idle': Code(WARNING, 'set what it needs, or remove the key'),
    'key.unused': Code(WARNING, 'remove the key, unless Nova has this flavor too'),
    # --- keys that contradict each other
    'threads.shared': Code(ERROR, 'set hw:cpu_policy to dedicated or mixed, or remove the CPU thread policy'),
    'realtime.shared': Code(ERROR, 'set hw:cpu_policy to dedicated or mixed, or remove hw:cpu_realtime'),
    'realtime.mask': Code(
        ERROR,
        'set hw:cpu_realtime_mask so that it leaves a vCPU of the flavor to the guest itself, such as ^0, or set '
        'hw:emulator_threads_policy',
    ),
    'flavor.refused': Code(ERROR, 'correct or remove the keys that the sentence names'),
    'image.refused': Code(
        ERROR, 'change the property of the image or the extra spec that the sentence names, or use another image'
    ),
    # --- a guest, the hosts, the other flavors
    'guest.kernel': Code(WARNING, 'set the vCPU topology or the guest cells as the sentence says'),
    'pages.missing': Code(
        WARNING, 'reserve pages of that size on a host, or set hw:mem_page_size to a size that the hosts have'
    ),
    'flavor.unplaceable': Code(
        WARNING, 'compare its extra specs with the cells of the hosts (`numaplace fleet explain --flavor`)'
    ),
    'flavor.twin': Code(WARNING, 'delete one of them; its servers keep what they have'),
}

#: The codes of contradictions that have one of their own, with the key that is at fault.
_CONTRADICTIONS: Mapping[type[exception.Invalid], tuple[str, str]] = {
    exception.CPUThreadPolicyConfigurationInvalid: ('threads.shared', 'hw:cpu_thread_policy'),
    exception.RealtimeConfigurationInvalid: ('realtime.shared', 'hw:cpu_realtime'),
    exception.RealtimeMaskNotFoundOrInvalid: ('realtime.mask', 'hw:cpu_realtime'),
}

#: Keys of other drivers than libvirt, which concern nobody here.
_OTHER_DRIVERS = ('vmware:',)
#: What two flavors may differ in and still be the same for a guest.
_NAMES = frozenset(('name', 'id'))


def lint(
    flavors: Sequence[Flavor],
    hosts: Sequence[HostRecord] = (),
    image: Mapping[str, str] | None = None,
    *,
    in_nova: bool = False,
) -> list[Finding]:
    """Return all findings, errors first, then by flavor.

    One fit for each flavor and each kind of host.

    :param hosts: without any, nothing is said of room
    :param image: properties of the image with which all flavors are used; None if it is not known
    :param in_nova: whether the flavors are those of a Nova, which provides more than numaplace alone
    """
    found, guests = list[Finding](), list[tuple[Flavor, Guest]]()
    for flavor in flavors:
        for key, value in flavor.extra_specs.items():
            if not key.startswith(_OTHER_DRIVERS):
                found += _key(key, replace(flavor, extra_specs={key: value}), None, in_nova=in_nova)
        guest = _read(flavor, image)
        if isinstance(guest, Guest):
            guests.append((flavor, guest))
            found += _of_guest(flavor, guest, image)
        elif not any(each.code == 'key.value' and each.flavor == flavor.name for each in found):
            found.append(guest)  # it would only repeat bad values, or be a consequence of them
    for key, value in (image or {}).items():
        found += _key(key, None, {key: value}, in_nova=in_nova)
    found += _of_hosts(guests, hosts, image)
    found += _twins(flavors)
    return sorted(found, key=lambda finding: finding.order)


def _key(key: str, flavor: Flavor | None, image: Mapping[str, str] | None, *, in_nova: bool) -> Iterator[Finding]:
    """Find what is wrong with a key of a flavor or of an image by itself: it is the only one there."""
    texts = [('key.unknown', text) for text in verdicts.unknown(flavor, image)]
    texts += [('key.value', text) for text in verdicts.bad_values(flavor, image)]
    if not in_nova:
        texts += [('key.unsupported', explain.sentence(reason)) for reason in verdicts.unsupported(flavor, image)]
        texts += [('key.unused', text) for text in verdicts.without_effect(flavor, image)]
    yield from (Finding(code, flavor.name if flavor else '', key, text) for code, text in texts)


def _read(flavor: Flavor, image: Mapping[str, str] | None) -> Guest | Finding:
    """Return what a flavor and an image request, or why no guest can be made of them."""
    try:
        return _guest(flavor, image)
    except exception.Invalid as error:
        together = error
    try:
        _guest(flavor, None)
    except exception.Invalid as error:
        code, key = _CONTRADICTIONS.get(type(error), ('flavor.refused', ''))
        return Finding(code, flavor.name, key if key in flavor.extra_specs else '', str(error))
    return Finding('image.refused', flavor.name, '', str(together))


def _guest(flavor: Flavor, image: Mapping[str, str] | None) -> Guest:
    guest = request.read(flavor, image)
    request.devices(flavor)
    request.tuning(flavor, image)
    return guest


def _of_guest(flavor: Flavor, guest: Guest, image: Mapping[str, str] | None) -> Iterator[Finding]:
    for key, text in idle_keys(flavor, guest, image):
        yield Finding('key.idle', flavor.name, key, text)
    for text in cpu_topology.warnings(guest):
        yield Finding('guest.kernel', flavor.name, '', f'flavor {flavor.name!r}: {text}')


def _of_hosts(
    guests: Iterable[tuple[Flavor, Guest]], hosts: Sequence[HostRecord], image: Mapping[str, str] | None
) -> Iterator[Finding]:
    """Find flavors that no host takes even when it is empty."""
    if not hosts:
        return
    kinds = _kinds_of_pages(hosts)
    left = []
    for flavor, guest in guests:
        wanted = _page_sizes(guest)
        if all(any(backing_pages(cell, size) for cell in kinds) for size in wanted):
            left.append(flavor)
            continue
        values = {**(image or {}), **flavor.extra_specs}
        key = 'hw_mem_page_size' if 'hw_mem_page_size' in (image or {}) else 'hw:mem_page_size'
        place = f'flavor {flavor.name!r}: {key}={values.get(key, "")!r}'
        yield Finding('pages.missing', flavor.name, key, f'{place}: no host has such pages')
    for finding in check_flavors(left, hosts, image):
        text = f'flavor {finding.subject!r}: it fits no host, even without any server: {finding.found}'
        yield Finding('flavor.unplaceable', finding.subject, '', text)


def _page_sizes(guest: Guest) -> set[int]:
    """Return the page sizes that a guest requests, in KiB or as classes."""
    sizes = {cell.pagesize_kib for cell in guest.cells} | {guest.wish.pagesize_kib if guest.wish else None}
    return {size for size in sizes if size is not None}


def _kinds_of_pages(hosts: Sequence[HostRecord]) -> list[HostCell]:
    """Return one host cell for each set of page sizes of which there are pages."""
    kinds: dict[tuple[int, ...], HostCell] = {}
    for record in hosts:
        for cell in record.host.cells:
            pages = tuple([each for each in cell.pages if each.total])
            sizes = tuple(sorted([each.size_kib for each in pages]))
            if sizes not in kinds:
                kinds[sizes] = replace(cell, pages=pages)
    return list(kinds.values())


def _twins(flavors: Sequence[Flavor]) -> Iterator[Finding]:
    """Find public flavors that differ only in their names; private ones may be for different projects."""
    first: dict[Any, str] = {}
    for flavor in sorted(flavors, key=lambda each: each.name):
        if flavor.is_public:
            sizes = [getattr(flavor, each.name) for each in fields(flavor) if each.name not in _NAMES]
            same = tuple([frozenset(size.items()) if isinstance(size, Mapping) else size for size in sizes])
            other = first.setdefault(same, flavor.name)
            if other != flavor.name:
                text = f'flavor {flavor.name!r}: it differs from flavor {other!r} only in its name'
                yield Finding('flavor.twin', flavor.name, '', text)
