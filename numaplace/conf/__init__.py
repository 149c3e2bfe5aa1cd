# SPDX-License-Identifier: Apache-2.0
"""The configuration: Nova's groups and names, so that an operator's nova.conf can be used unchanged, and our own."""

import glob
import os
from collections.abc import Iterable, Sequence

from oslo_config import cfg

from numaplace import cpuset, exception, pci_specs
from numaplace.conf import (
    compute,
    databases,
    default,
    filter_scheduler,
    libvirt,
    logs,
    neutron,
    numaplace,
    pci,
    scheduler,
    upgrade_levels,
)

__all__ = [
    'CONTINUE',
    'ENFORCE',
    'SHADOW',
    'SYSTEM_FILE',
    'audit',
    'cpu_sets',
    'device_specs',
    'list_opts',
    'load',
    'mode',
    'pci_aliases',
    'places',
    'power_strategy',
    'ratios',
    'raw_values',
    'reserved_pages',
    'strategy',
]

ENFORCE, SHADOW, CONTINUE = numaplace.ENFORCE, numaplace.SHADOW, numaplace.CONTINUE

#: Read if no file is named and it exists.
SYSTEM_FILE = '/etc/numaplace/numaplace.conf'


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return all options by group, for the generator of the sample file."""
    return [
        (default.GROUP, default.OPTIONS + logs.OPTIONS),
        *(
            (module.GROUP, module.OPTIONS)
            for module in (numaplace, filter_scheduler, scheduler, compute, libvirt, pci, upgrade_levels)
        ),
        *databases.OPTIONS.items(),
        (neutron.GROUP, neutron.OPTIONS),
        (neutron.TUNNEL_GROUP, neutron.TUNNEL_OPTIONS),
        (f'{neutron.PHYSNET_PREFIX}NAME', neutron.physnet_options()),
    ]


def load(files: Sequence[str] = (), *, use_env: bool = True) -> cfg.ConfigOpts:
    """Read configuration files and check every value that numaplace knows; other options are ignored.

    :param files: paths, the last one wins; without any, SYSTEM_FILE if it exists
    :param use_env: let variables such as ``OS_NUMAPLACE__CONNECTION`` override the files
    :raises: :class:`~numaplace.exception.InvalidConfiguration` naming file, option, value and accepted forms
    """
    paths = list(files) or [path for path in (SYSTEM_FILE,) if os.path.exists(path)]
    conf = cfg.ConfigOpts()
    for group, options in list_opts()[:-1]:
        conf.register_opts(options, group=None if group == 'DEFAULT' else group)
    try:
        conf([word for path in paths for word in ('--config-file', path)], 'numaplace', 'numaplace', use_env=use_env)
    except cfg.ConfigFilesNotFoundError as error:
        raise exception.InvalidConfiguration(
            f'configuration file {next(iter(error.config_files))!r} does not exist'
        ) from error
    except (cfg.Error, OSError, UnicodeDecodeError) as error:
        raise exception.InvalidConfiguration(_unreadable(paths, error)) from error
    sources = _raw_values(paths)
    _check_values(conf, sources, list_opts()[:-1])
    _register_physnets(conf, sources)
    _check_sets(conf)
    _check_cpus(conf)
    _check_devices(conf)
    return conf


def _unreadable(paths: Iterable[str], error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f'configuration file {next(iter(paths), "")!r} is not UTF-8 text'
    if isinstance(error, OSError):
        return f'configuration file {error.filename!r} cannot be read: {error.strerror}'
    return ' '.join(str(error).split())


def _raw_values(paths: Iterable[str]) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Return file and raw values by lower-case group and option, for the errors."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        for group, values in sections.items():
            for name, raw in values.items():
                found[group.lower(), name.replace('-', '_')] = (path, raw)
    return found


def places(files: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the file of each option of files by lower-case group and name.

    :raises: :class:`~numaplace.exception.InvalidConfiguration` for a file that cannot be read
    """
    return {key: place for key, (place, _) in _sources(files).items()}


def raw_values(files: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Return the texts of each option of files by lower-case group and name; errors as :func:`places`."""
    return {key: values for key, (_, values) in _sources(files).items()}


def _sources(files: Sequence[str]) -> dict[tuple[str, str], tuple[str, list[str]]]:
    try:
        return _raw_values(files)
    except (cfg.Error, OSError, UnicodeDecodeError) as error:
        raise exception.InvalidConfiguration(_unreadable(files, error)) from error


def _check_values(
    conf: cfg.ConfigOpts,
    sources: dict[tuple[str, str], tuple[str, list[str]]],
    groups: Iterable[tuple[str, list[cfg.Opt]]],
) -> None:
    faults = []
    for group, options in groups:
        for option in options:
            try:
                conf[option.dest] if group == 'DEFAULT' else conf[group][option.dest]
            except (cfg.Error, ValueError) as error:
                faults.append(_fault(sources, group, option, error))
    if faults:
        raise exception.InvalidConfiguration('; '.join(faults))


def _fault(sources: dict[tuple[str, str], tuple[str, list[str]]], group: str, option: cfg.Opt, error: Exception) -> str:
    variable = f'OS_{group}__{option.dest}'.upper()
    if variable in os.environ:
        place, raw = f'environment variable {variable}', [os.environ[variable]]
    else:
        known = [option.dest, *(old.name for old in option.deprecated_opts if old.name)]
        place, raw = next(
            (sources[key] for name in known if (key := (group.lower(), name)) in sources), ('default', [])
        )
    # The message of oslo.config ends with the type's own words, which name the accepted forms.
    forms = ' '.join(str(error).split()).rpartition('is not valid: ')[2]
    value = '***' if option.secret else ', '.join(map(repr, raw))
    return f'{place}: [{group}] {option.dest} = {value}: {forms}'


def _register_physnets(conf: cfg.ConfigOpts, sources: dict[tuple[str, str], tuple[str, list[str]]]) -> None:
    for name in conf.neutron.physnets:
        group = neutron.PHYSNET_PREFIX + name
        options = neutron.physnet_options()
        conf.register_opts(options, group=group)
        _check_values(conf, sources, [(group, options)])
        if conf[group].numa_nodes is None:
            place = sources.get(('neutron', 'physnets'), ('environment', []))[0]
            raise exception.InvalidNetworkNUMAAffinity(
                f'{place}: [neutron] physnets names {name!r}, but [{group}] numa_nodes is missing: '
                "expected numbers of host cells such as '0,1'"
            )


def _check_sets(conf: cfg.ConfigOpts) -> None:
    if conf.vcpu_pin_set is not None and conf.compute.cpu_dedicated_set is not None:
        raise exception.InvalidConfiguration(
            '[DEFAULT] vcpu_pin_set conflicts with [compute] cpu_dedicated_set: use '
            '[compute] cpu_shared_set and cpu_dedicated_set'
        )
    both = (conf.compute.cpu_shared_set or 0) & (conf.compute.cpu_dedicated_set or 0)
    if both:
        raise exception.InvalidConfiguration(
            f'[compute] cpu_shared_set and [compute] cpu_dedicated_set both name the CPUs {cpuset.text(both)}: '
            'a CPU may be in one of them'
        )


def _check_cpus(conf: cfg.ConfigOpts) -> None:
    """Check options that depend on each other (Nova 34, `_check_cpu_compatibility`)."""
    cpu_mode, models = conf.libvirt.cpu_mode, ','.join(conf.libvirt.cpu_models)
    if cpu_mode == 'custom' and not models:
        raise exception.InvalidConfiguration(
            "[libvirt] cpu_mode = custom needs [libvirt] cpu_models: expected names of CPU models such as 'Haswell'"
        )
    if cpu_mode != 'custom' and models:
        raise exception.InvalidConfiguration(
            f'[libvirt] cpu_models = {models} needs [libvirt] cpu_mode = custom, which is '
            f'{"not set" if cpu_mode is None else cpu_mode}: expected both or neither'
        )
    if cpu_mode == 'none' and conf.libvirt.cpu_model_extra_flags:
        flags = ','.join(name for name, _ in conf.libvirt.cpu_model_extra_flags)
        raise exception.InvalidConfiguration(
            f'[libvirt] cpu_model_extra_flags = {flags} does not go together with [libvirt] cpu_mode = none: expected '
            'another mode, or no flags'
        )


def _check_devices(conf: cfg.ConfigOpts) -> None:
    """Check values that depend on each other (Nova 34, `get_alias_from_config` and `PciDeviceSpec`)."""
    try:
        pci_aliases(conf)
    except exception.PciInvalidAlias as error:
        raise exception.PciInvalidAlias(f'[pci] alias: {error}') from error
    if not conf.pci.report_in_placement and any(
        spec.tags.get('one_time_use') == 'true' for spec in device_specs(conf) or ()
    ):
        raise exception.PciConfigInvalidSpec(
            '[pci] device_spec: one_time_use needs [pci] report_in_placement = true: expected both or neither'
        )


def pci_aliases(conf: cfg.ConfigOpts) -> dict[str, pci_specs.Alias]:
    """Return the aliases of PCI devices by name."""
    return pci_specs.join_aliases(conf.pci.alias or ())


def device_specs(conf: cfg.ConfigOpts) -> tuple[pci_specs.DeviceSpec, ...] | None:
    """Return which PCI devices of a host guests may have, in order: the first that a device matches counts.

    None where the option is not set, so that nothing is said of them.
    """
    if conf.pci.device_spec is None:
        return None
    return tuple([spec for specs in conf.pci.device_spec for spec in specs])


def mode(conf: cfg.ConfigOpts) -> str:
    """Return the mode of numaplace in a Nova service.

    :param conf: the configuration that the service has read
    :raises: :class:`~numaplace.exception.InvalidConfiguration` naming file, option, value and accepted forms
    """
    return _in_nova(conf, numaplace.MODE)


def audit(conf: cfg.ConfigOpts) -> str:
    """Return what an audit of nova-compute does after a guest that it cannot count; parameter and errors as mode."""
    return _in_nova(conf, numaplace.AUDIT)


def register_strategy(conf: cfg.ConfigOpts) -> None:
    """Make ``[numaplace] strategy`` and ``preserve_mix`` known to a Nova service; parameter and errors as mode."""
    _in_nova(conf, numaplace.STRATEGY)
    _in_nova(conf, numaplace.PRESERVE_MIX)


def preserve_mix(conf: cfg.ConfigOpts) -> tuple[tuple[int, int, int, int], ...]:
    """Return the kinds of guests that are expected: cells, CPUs and MiB of each, and their number.

    It is empty where the option is not set, and in a service of Nova that did not register it.
    """
    return tuple(getattr(getattr(conf, numaplace.GROUP, None), numaplace.PRESERVE_MIX.dest, ()))


def own_strategy(conf: cfg.ConfigOpts) -> str | None:
    """Return what ``[numaplace] strategy`` of a Nova service names in place of Nova's strategies, or None."""
    name = getattr(getattr(conf, numaplace.GROUP, None), numaplace.STRATEGY.dest, None)
    return name if name in {'closest', 'preserve'} else None


def register_preserve(conf: cfg.ConfigOpts) -> None:
    """Make the options of NUMAPreserveWeigher known to a Nova service; parameter and errors as mode."""
    _in_nova(conf, filter_scheduler.PRESERVE, filter_scheduler.GROUP)
    _in_nova(conf, numaplace.PRESERVE_MIX)


def _in_nova(conf: cfg.ConfigOpts, option: cfg.Opt, group: str = numaplace.GROUP) -> str:
    conf.register_opt(option, group=group)
    files = [*(getattr(conf, 'config_file', None) or ()), *_in_directories(getattr(conf, 'config_dir', None) or ())]
    _check_values(conf, _raw_values(files), [(group, [option])])
    return str(conf[group][option.dest])


def _in_directories(paths: Iterable[str]) -> list[str]:
    """Return the files in configuration directories, in the order of oslo.config."""
    return [name for path in paths for name in sorted(glob.glob(os.path.join(glob.escape(path), '*.conf')))]


def strategy(conf: cfg.ConfigOpts) -> str:
    """Return the name of the strategy: the configured one, pack where Nova's packing option is on, else closest."""
    packing = conf.compute.packing_host_numa_cells_allocation_strategy
    return str(conf.numaplace.strategy or ('pack' if packing else 'closest'))


def ratios(conf: cfg.ConfigOpts, stored: tuple[float | None, float | None] = (None, None)) -> tuple[float, float]:
    """Return the allocation ratios of shared CPUs and of memory.

    The initial ratios are for new hosts only (Nova 34, `ResourceTracker._copy_resources`).

    :param stored: those of a registered host, which stay unless they are configured
    """
    return (
        conf.cpu_allocation_ratio or stored[0] or conf.initial_cpu_allocation_ratio,
        conf.ram_allocation_ratio or stored[1] or conf.initial_ram_allocation_ratio,
    )


def reserved_pages(conf: cfg.ConfigOpts) -> dict[int, dict[int, int]]:
    """Return how many pages are reserved, by host cell and page size in KiB.

    :raises: :class:`~numaplace.exception.InvalidReservedMemoryPagesOption` if a cell and size are given twice
    """
    reserved: dict[int, dict[int, int]] = {}
    for cell, size_kib, count in conf.reserved_huge_pages or ():
        sizes = reserved.setdefault(cell, {})
        if size_kib in sizes:
            raise exception.InvalidReservedMemoryPagesOption(
                f'[DEFAULT] reserved_huge_pages names node {cell} and pages of {size_kib} KiB twice: expected one line '
                'for each node and size'
            )
        sizes[size_kib] = count
    return reserved


def power_strategy(conf: cfg.ConfigOpts) -> str | None:
    """Return how power is saved on unused dedicated CPUs, or None if it is not saved."""
    return str(conf.libvirt.cpu_power_management_strategy) if conf.libvirt.cpu_power_management else None


def cpu_sets(conf: cfg.ConfigOpts) -> tuple[int | None, int | None]:
    """Return the masks of the shared and of the dedicated CPUs; both None if every CPU is both."""
    if conf.vcpu_pin_set is not None:
        return conf.vcpu_pin_set, conf.vcpu_pin_set
    return conf.compute.cpu_shared_set, conf.compute.cpu_dedicated_set
