# SPDX-License-Identifier: Apache-2.0
"""The configuration: Nova's groups and names, so that an operator's nova.conf can be read as it is, and our own."""

import glob
import os
from collections.abc import Iterable, Sequence

from oslo_config import cfg

from numaplace import cpuset, exception
from numaplace.conf import compute, default, filter_scheduler, libvirt, neutron, numaplace, scheduler

__all__ = [
    'ENFORCE',
    'SHADOW',
    'SYSTEM_FILE',
    'cpu_sets',
    'list_opts',
    'load',
    'mode',
    'ratios',
    'reserved_pages',
    'strategy',
]

ENFORCE, SHADOW = numaplace.ENFORCE, numaplace.SHADOW

#: Read when no file is named, if it is there.
SYSTEM_FILE = '/etc/numaplace/numaplace.conf'


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return all options by group, for the generator of the sample file."""
    return [
        *((room.GROUP, room.OPTIONS) for room in (default, numaplace, filter_scheduler, scheduler, compute, libvirt)),
        (neutron.GROUP, neutron.OPTIONS),
        (neutron.TUNNEL_GROUP, neutron.TUNNEL_OPTIONS),
        (f'{neutron.PHYSNET_PREFIX}NAME', neutron.physnet_options()),
    ]


def load(files: Sequence[str] = (), *, use_env: bool = True) -> cfg.ConfigOpts:
    """Read configuration files and check every value that numaplace knows; other options are ignored.

    :param files: paths, the last wins; none: SYSTEM_FILE if it is there
    :param use_env: let variables such as ``OS_NUMAPLACE__CONNECTION`` win over the files
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
    return conf


def _unreadable(paths: Iterable[str], error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f'configuration file {next(iter(paths), "")!r} is no text in UTF-8'
    if isinstance(error, OSError):
        return f'configuration file {error.filename!r} cannot be read: {error.strerror}'
    return ' '.join(str(error).split())


def _raw_values(paths: Iterable[str]) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Return file and raw values by lower-case group and option: what an error shows."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        for group, values in sections.items():
            for name, raw in values.items():
                found[group.lower(), name.replace('-', '_')] = (path, raw)
    return found


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
        place, raw = sources.get((group.lower(), option.dest), ('default', []))
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
            '[DEFAULT] vcpu_pin_set and [compute] cpu_dedicated_set do not go together: use '
            '[compute] cpu_shared_set and cpu_dedicated_set'
        )
    both = (conf.compute.cpu_shared_set or 0) & (conf.compute.cpu_dedicated_set or 0)
    if both:
        raise exception.InvalidConfiguration(
            f'[compute] cpu_shared_set and [compute] cpu_dedicated_set both name the CPUs {cpuset.text(both)}: '
            'a CPU may be in one of them'
        )


def mode(conf: cfg.ConfigOpts) -> str:
    """Return how numaplace takes part in a service of Nova.

    :param conf: the service's own configuration, as it has read it
    :raises: :class:`~numaplace.exception.InvalidConfiguration` naming file, option, value and accepted forms
    """
    conf.register_opt(numaplace.MODE, group=numaplace.GROUP)
    files = [*(getattr(conf, 'config_file', None) or ()), *_in_directories(getattr(conf, 'config_dir', None) or ())]
    _check_values(conf, _raw_values(files), [(numaplace.GROUP, [numaplace.MODE])])
    return str(conf.numaplace.mode)


def _in_directories(paths: Iterable[str]) -> list[str]:
    """Return the files of directories of configuration as oslo.config takes them."""
    return [name for path in paths for name in sorted(glob.glob(os.path.join(glob.escape(path), '*.conf')))]


def strategy(conf: cfg.ConfigOpts) -> str:
    """Return the name of the strategy: the one that is set, else the one that Nova's packing option stands for."""
    packing = conf.compute.packing_host_numa_cells_allocation_strategy
    return str(conf.numaplace.strategy or ('pack' if packing else 'spread'))


def ratios(conf: cfg.ConfigOpts) -> tuple[float, float]:
    """Return the allocation ratios of shared CPUs and of memory."""
    return (
        conf.cpu_allocation_ratio or conf.initial_cpu_allocation_ratio,
        conf.ram_allocation_ratio or conf.initial_ram_allocation_ratio,
    )


def reserved_pages(conf: cfg.ConfigOpts) -> dict[int, dict[int, int]]:
    """Return how many pages are kept back, by host cell and page size in KiB.

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


def cpu_sets(conf: cfg.ConfigOpts) -> tuple[int | None, int | None]:
    """Return the masks of the shared and of the dedicated CPUs; both None: every CPU is both."""
    if conf.vcpu_pin_set is not None:
        return conf.vcpu_pin_set, conf.vcpu_pin_set
    return conf.compute.cpu_shared_set, conf.compute.cpu_dedicated_set
