# SPDX-License-Identifier: Apache-2.0
"""What the files of a configuration say to numaplace: option by option, and where they contradict themselves."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from numaplace import conf as configuration
from numaplace import units
from numaplace.conf import neutron

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.model import Flavor
    from numaplace.model.records import HostRecord

__all__ = [
    'CONFLICT',
    'KINDS',
    'NOVA',
    'UNKNOWN',
    'USED',
    'Finding',
    'check_flavors',
    'check_hosts',
    'check_sets',
    'read',
]

#: What an option is to numaplace: contradictory, not even known to Nova, read, or Nova's alone.
KINDS = CONFLICT, UNKNOWN, USED, NOVA = 'conflict', 'unknown', 'used', 'nova'

#: Beginnings of groups that have a name of the operator's in theirs.
_NAMED_GROUPS = (neutron.PHYSNET_PREFIX, 'mdev_', 'vgpu_')

#: Beginnings of extra specs, and the filter without which they have no effect.
_NEEDS = {
    'capabilities:': 'ComputeCapabilitiesFilter',
    'aggregate_instance_extra_specs:': 'AggregateInstanceExtraSpecsFilter',
    'hw:numa_nodes': 'NUMATopologyFilter',
    'hw:cpu_policy': 'NUMATopologyFilter',
    'hw:mem_page_size': 'NUMATopologyFilter',
    'pci_passthrough:alias': 'PciPassthroughFilter',
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an option; its value, which may be a secret, is not named.

    :param kind: one of KINDS
    :param place: the file, or empty
    :param option: with its group
    """

    kind: str
    place: str
    option: str
    text: str = ''


def read(files: Sequence[str]) -> Iterator[Finding]:
    """Yield what each option of files is, by file, group and name.

    :raises: :class:`~numaplace.exception.InvalidConfiguration` for a file that cannot be read
    """
    ours: dict[str, set[str]] = {}
    for group, options in configuration.list_opts():
        names = ours.setdefault(group.lower(), set())
        for option in options:
            names |= {option.dest, *(old.name for old in option.deprecated_opts if old.name)}
    theirs = _nova_options()
    for (group, name), place in sorted(configuration.places(files).items(), key=lambda item: (item[1], item[0])):
        yield Finding(*_classify(group, name, ours, theirs, place))


def _classify(
    group: str, name: str, ours: Mapping[str, set[str]], theirs: Mapping[str, set[str]], place: str
) -> tuple[str, str, str, str]:
    option = f'[{group.upper() if group == "default" else group}] {name}'
    if group.startswith(_NAMED_GROUPS):
        return USED if group.startswith(neutron.PHYSNET_PREFIX) else NOVA, place, option, ''
    if name in ours.get(group, ()):
        return USED, place, option, ''
    if name in theirs.get(group, ()):
        return NOVA, place, option, ''
    known = {*ours.get(group, ()), *theirs.get(group, ())}
    if not known:
        near = difflib.get_close_matches(group, {*ours, *theirs}, 1)
        return UNKNOWN, place, option, f'nobody reads this group{f"; did you mean [{near[0]}]?" if near else ""}'
    elsewhere = sorted(each for each in {*ours, *theirs} if name in ours.get(each, ()) or name in theirs.get(each, ()))
    near = difflib.get_close_matches(name, known, 1)
    hint = f'; did you mean {near[0]}?' if near else f'; it is one of [{elsewhere[0]}]' if elsewhere else ''
    return UNKNOWN, place, option, f'nobody reads it{hint}'


def _nova_options() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    group = ''
    for line in resources.files('numaplace.conf').joinpath('nova34_options.txt').read_text('utf-8').splitlines():
        if line.startswith('['):
            group = line.strip('[]').lower()
        elif not line.startswith('#'):
            found.setdefault(group, set()).update(line.split())
    return found


def check_sets(conf: cfg.ConfigOpts, files: Sequence[str]) -> Iterator[Finding]:
    """Yield options that others make useless: sets of CPUs, and aliases of devices that no device_spec has."""
    if conf.vcpu_pin_set is not None and conf.compute.cpu_shared_set is not None:
        text = 'it has no effect beside [DEFAULT] vcpu_pin_set'
        yield Finding(CONFLICT, '', '[compute] cpu_shared_set', text)
    values = configuration.raw_values(files)
    specs = list(map(_json, values.get(('pci', 'device_spec'), values.get(('pci', 'passthrough_whitelist'), []))))
    for alias in map(_json, values.get(('pci', 'alias'), [])):
        if specs and alias and not any(_may_have(each, alias) for spec in specs for each in _list(spec)):
            name = alias.get('name', '') if isinstance(alias, dict) else ''
            yield Finding(CONFLICT, '', '[pci] alias', f'no device_spec has the devices of {name!r}')


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _list(spec: Any) -> list[Any]:
    return spec if isinstance(spec, list) else [spec]


def _may_have(spec: Any, alias: Any) -> bool:
    """Return whether devices of a spec may have the vendor and the product of an alias."""
    if not isinstance(spec, dict) or not isinstance(alias, dict):
        return True
    return all(
        str(spec.get(key, '*')).lower() in ('*', str(alias.get(key, '*')).lower()) or key not in alias
        for key in ('vendor_id', 'product_id')
    )


def check_flavors(enabled: Iterable[str], flavors: Iterable[Flavor]) -> Iterator[Finding]:
    """Yield the filters that flavors need and that are not enabled."""
    lacking: dict[str, list[str]] = {}
    for flavor in flavors:
        for start, needed in _NEEDS.items():
            if needed not in enabled and any(key.startswith(start) for key in flavor.extra_specs):
                lacking.setdefault(needed, []).append(f'{flavor.name!r} has {start}')
    for needed, reasons in sorted(lacking.items()):
        text = f'{needed} is not enabled, but flavor {reasons[0]}' + (', and others' if len(reasons) > 1 else '')
        yield Finding(CONFLICT, '', '[filter_scheduler] enabled_filters', text)


def check_hosts(conf: cfg.ConfigOpts, hosts: Sequence[HostRecord]) -> Iterator[Finding]:
    """Yield reserved pages of a size that no host has."""
    sizes = {pages.size_kib for host in hosts for cell in host.host.cells for pages in cell.pages}
    for size in sorted({size for _, size, _ in conf.reserved_huge_pages or ()} - sizes if hosts else ()):
        text = f'no host has pages of {units.size(size)}'
        yield Finding(CONFLICT, '', '[DEFAULT] reserved_huge_pages', text)
