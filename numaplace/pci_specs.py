# SPDX-License-Identifier: Apache-2.0
"""The options of ``[pci]``: device_spec, the devices that a host offers, and alias, a name under which to request some.

Nova 34, `nova/pci/devspec.py` and `nova/pci/request.py`, but for tags of network cards that a SmartNIC manages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numaplace import exception

__all__ = ['POLICIES', 'TYPES', 'Alias', 'DeviceSpec', 'join_aliases', 'read_alias', 'read_device_specs']

#: NUMA affinity policies.
POLICIES = ('required', 'legacy', 'preferred', 'socket')
#: Types of devices that an alias may name: without SR-IOV, physical function, virtual function.
TYPES = ('type-PCI', 'type-PF', 'type-VF')

_ANY = '*'
_ID = re.compile(r'[0-9a-fA-F]{4}')
_ADDRESS = re.compile(r'([0-9a-fA-F]{4,}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])')
#: The parts of an address, their largest values, and their digits.
_PARTS = (('domain', 0xFFFF, 4), ('bus', 0xFF, 2), ('slot', 0x1F, 2), ('function', 7, 1))
_SWITCHES = {
    **dict.fromkeys(('1', 't', 'true', 'on', 'y', 'yes'), 'true'),
    **dict.fromkeys(('0', 'f', 'false', 'off', 'n', 'no'), 'false'),
}
#: Tags that are switches.
_SWITCH_TAGS = ('managed', 'live_migratable', 'one_time_use', 'remote_managed')

_ALIAS_FORM = (
    'expected a JSON object such as {"name": "gpu", "vendor_id": "10de", "product_id": "20b0", '
    '"device_type": "type-PCI", "numa_policy": "required"}'
)
_ALIAS_KEYS = (
    'name',
    'capability_type',
    'vendor_id',
    'product_id',
    'device_type',
    'numa_policy',
    'resource_class',
    'traits',
    'live_migratable',
)
_SPEC_FORM = (
    'expected a JSON object, or a list of them, such as {"vendor_id": "8086", "product_id": "154c", '
    '"address": "0000:0a:00.*", "physical_network": "lake"}'
)
_ADDRESS_FORM = (
    "expected '[[[DOMAIN:]BUS:]SLOT][.FUNCTION]' in hexadecimal digits with * for any, at most ffff:ff:1f.7, or an "
    'object of regular expressions with the keys domain, bus, slot and function'
)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for devices that flavors may request.

    :param alternatives: properties by key; a device has all of one of them
    """

    name: str
    policy: str
    alternatives: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """Devices of a host that guests may have.

    :param vendor_id: four hexadecimal digits, or ``*``
    :param product_id: as vendor_id
    :param address: globs or regular expressions of domain, bus, slot and function; empty for any address
    :param is_regex: whether the address is one of regular expressions
    :param devname: name of a network interface instead of the address
    :param tags: what else is known of the devices; the switches are ``true`` or ``false``
    """

    vendor_id: str = _ANY
    product_id: str = _ANY
    address: tuple[str, ...] = ()
    is_regex: bool = False
    devname: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)

    def matches(
        self,
        vendor_id: str,
        product_id: str,
        address: str,
        parent: str | None = None,
        interfaces: Mapping[str, str] | None = None,
    ) -> bool:
        """Return whether a device is one of these; the address of a single PF stands for its VFs, too.

        :param address: as in ``0000:0a:00.1``
        :param parent: the address of the PF of a VF
        :param interfaces: addresses of the devices of network interfaces, by name
        """
        if self.vendor_id not in (_ANY, vendor_id) or self.product_id not in (_ANY, product_id):
            return False
        if self.devname is not None:
            known = (interfaces or {}).get(self.devname)
            return known is not None and known in (address, parent)
        if not self.address:
            return True
        return self._covers(address) or (self._is_single and parent is not None and self._covers(parent))

    @property
    def _is_single(self) -> bool:
        return all(all(digit in '0123456789abcdefABCDEF' for digit in part) for part in self.address)

    def _covers(self, address: str) -> bool:
        found = _ADDRESS.fullmatch(address)
        if found is None:
            return False
        pairs = zip(self.address, found.groups(), strict=True)
        if self.is_regex:
            return all(re.match(pattern, part) for pattern, part in pairs)
        return all(glob in (_ANY, part) for glob, part in pairs)


def read_alias(text: str) -> Alias:
    """Read one value of ``[pci] alias``.

    :raises: :class:`~numaplace.exception.PciInvalidAlias` naming the key, the value and the accepted forms
    """
    given = _json(text, exception.PciInvalidAlias, _ALIAS_FORM)
    if not isinstance(given, dict):
        raise exception.PciInvalidAlias(_ALIAS_FORM)
    for key, value in given.items():
        if key not in _ALIAS_KEYS:
            raise exception.PciInvalidAlias(f'{key}: expected one of the keys {", ".join(_ALIAS_KEYS)}')
        if not isinstance(value, str):
            raise exception.PciInvalidAlias(f'{key}={json.dumps(value)}: expected text in quotes')
    name = given.pop('name', '').strip()
    if not 0 < len(name) <= 256:
        raise exception.PciInvalidAlias(f'name={name!r}: expected a name of 1 to 256 characters')
    _check_alias(f'alias {name!r}: ', given)
    policy = given.pop('numa_policy', POLICIES[1])
    if 'device_type' in given:
        given['dev_type'] = given.pop('device_type')
    if 'live_migratable' in given:
        given['live_migratable'] = _switch('live_migratable', given['live_migratable'], exception.PciInvalidAlias)
    return Alias(name, policy, (given,))


def _check_alias(place: str, given: Mapping[str, str]) -> None:
    for key in ('vendor_id', 'product_id'):
        if key in given and not _ID.fullmatch(given[key]):
            raise exception.PciInvalidAlias(f'{place}{key}={given[key]!r}: expected four hexadecimal digits')
    for key, words in (('device_type', TYPES), ('numa_policy', POLICIES), ('capability_type', ('pci',))):
        if key in given and given[key] not in words:
            raise exception.PciInvalidAlias(f'{place}{key}={given[key]!r}: expected {", ".join(words)}')
    if not {'vendor_id', 'product_id'} <= given.keys() and 'resource_class' not in given:
        raise exception.PciInvalidAlias(f'{place}expected vendor_id and product_id')


def join_aliases(listed: Iterable[Alias]) -> dict[str, Alias]:
    """Return aliases by name; those of one name are alternatives.

    :raises: :class:`~numaplace.exception.PciInvalidAlias` if these differ in policy or type, or one has no type
    """
    found: dict[str, Alias] = {}
    for alias in listed:
        known = found.setdefault(alias.name, alias)
        if known is alias:
            continue
        if known.policy != alias.policy:
            raise exception.PciInvalidAlias(
                f'alias {alias.name!r} has numa_policy {known.policy} and {alias.policy}: expected the same each time'
            )
        types = [spec.get('dev_type', 'none') for spec in (known.alternatives[0], alias.alternatives[0])]
        if types[0] != types[1] or 'none' in types:
            raise exception.PciInvalidAlias(
                f'alias {alias.name!r} has device_type {types[0]} and {types[1]}: expected the same each time'
            )
        found[alias.name] = Alias(alias.name, alias.policy, known.alternatives + alias.alternatives)
    return found


def read_device_specs(text: str) -> tuple[DeviceSpec, ...]:
    """Read one value of ``[pci] device_spec``.

    :raises: :class:`~numaplace.exception.PciConfigInvalidSpec` naming the key, the value and the accepted forms
    """
    given = _json(text, exception.PciConfigInvalidSpec, _SPEC_FORM)
    listed = given if isinstance(given, list) else [given]
    return tuple(_device_spec(each) for each in listed)


def _device_spec(given: Any) -> DeviceSpec:
    if not isinstance(given, dict):
        raise exception.PciConfigInvalidSpec(_SPEC_FORM)
    left = dict(given)
    vendor_id, product_id = (_id(key, left.pop(key, _ANY)) for key in ('vendor_id', 'product_id'))
    address, devname = left.pop('address', None), left.pop('devname', None)
    if devname is not None and (not isinstance(devname, str) or not devname):
        raise exception.PciConfigInvalidSpec(f'devname={json.dumps(devname)}: expected the name of a network interface')
    if address and devname:
        raise exception.PciConfigInvalidSpec(f'address and devname={devname!r}: expected one of both')
    for key in _SWITCH_TAGS:
        if left.get(key) is not None:
            left[key] = _switch(key, left[key], exception.PciConfigInvalidSpec)
    for key, value in left.items():
        if value is not None and not isinstance(value, str):
            raise exception.PciConfigInvalidSpec(f'{key}={json.dumps(value)}: expected text in quotes, or null')
    parts = _expressions(address) if isinstance(address, dict) else _globs(address) if address else ()
    return DeviceSpec(vendor_id, product_id, parts, isinstance(address, dict), devname, left)


def _id(key: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ''
    if text == _ANY:
        return _ANY
    if not re.fullmatch(r'(0[xX])?0*[0-9a-fA-F]{1,4}', text):
        raise exception.PciConfigInvalidSpec(
            f'{key}={json.dumps(value)}: expected up to four hexadecimal digits, or "*"'
        )
    return f'{int(text, 16):04x}'


def _globs(address: Any) -> tuple[str, ...]:
    """Read an address of which parts may be missing or any."""
    fault = exception.PciConfigInvalidSpec(f'address={json.dumps(address)}: {_ADDRESS_FORM}')
    if not isinstance(address, str):
        raise fault
    rest, _, function = address.partition('.')
    words = rest.split(':')
    if len(words) > 3:
        raise fault
    found = []
    for word, (_, most, digits) in zip([_ANY] * (3 - len(words)) + [*words, function], _PARTS, strict=True):
        text = word.strip() or _ANY
        if text != _ANY:
            if not re.fullmatch('[0-9a-fA-F]+', text) or int(text, 16) > most:
                raise fault
            text = f'{int(text, 16):0{digits}x}'
        found.append(text)
    return tuple(found)


def _expressions(address: Mapping[str, Any]) -> tuple[str, ...]:
    names = [name for name, _, _ in _PARTS]
    for key, value in address.items():
        try:
            known = key in names and isinstance(value, str) and re.compile(value)
        except re.error:
            known = False
        if not known:
            raise exception.PciConfigInvalidSpec(f'address: {key}={json.dumps(value)}: {_ADDRESS_FORM}')
    return tuple(address.get(name, '.*') for name in names)


def _switch(key: str, value: Any, fault: type[exception.NumaplaceException]) -> str:
    found = _SWITCHES.get(str(value).strip().lower())
    if found is None:
        raise fault(f'{key}={json.dumps(value)}: expected "yes" or "no"')
    return found


def _json(text: str, fault: type[exception.NumaplaceException], form: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise fault(form) from error
