# SPDX-License-Identifier: Apache-2.0
"""Nova's own functions behind a few calls; importing this needs Nova, and costs what importing Nova costs."""

import itertools
import logging
import warnings
from typing import Any, NamedTuple

from numaplace import wire

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # Nova and what it imports warn of their own deprecations
    from nova import conf, exception, objects
    from nova.virt import hardware

    objects.register_all()

logging.getLogger('nova').setLevel(logging.CRITICAL)

__all__ = [
    'Constraints',
    'constraints',
    'fit',
    'fit_cell',
    'networks_hold',
    'page_size',
    'read_guest',
    'read_host',
    'read_limits',
    'repair',
    'repair_all',
    'text',
    'usage',
]

#: Some messages of Nova name the image.
_IMAGE = '7f0c5e5b-9d5c-4a4f-8a3c-5f1e2d3c4b5a'

#: The fields of a guest cell that is not placed.
_REQUEST = ('id', 'cpuset', 'pcpuset', 'memory', 'pagesize', 'cpu_policy', 'cpu_thread_policy')
#: And of one that is.
_PLACED = (*_REQUEST, 'cpu_pinning_raw', 'cpuset_reserved')

_FIT_CELL = hardware._numa_fit_instance_cell


class Constraints(NamedTuple):
    """What Nova makes of a flavor and an image; the errors are names of classes.

    :param cells: the InstanceNUMATopology as plain data, None without one
    :param topology: sockets, cores and threads
    :param resources: the model of memory encryption, and the labels of persistent memory
    """

    error: str | None
    cells: dict[str, Any] | None = None
    topology_error: str | None = None
    topology: tuple[int, int, int] | None = None
    realtime: frozenset[int] = frozenset()
    locked: bool = False
    resources: tuple[str, ...] = ()


def _image(properties: dict[str, Any]) -> Any:
    return objects.ImageMeta.from_dict({'id': _IMAGE, 'name': 'image', 'properties': properties})


def constraints(flavor: dict[str, Any], properties: dict[str, Any]) -> Constraints:
    """Return what Nova makes of a flavor and an image, or the class of its error."""
    asked = objects.Flavor(
        name='flavor', vcpus=flavor['vcpus'], memory_mb=flavor['memory_mb'], extra_specs=flavor['extra_specs']
    )
    try:
        image = _image(properties)
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        return Constraints(type(error).__name__)
    topology_error, topology = None, None
    try:
        best = hardware.get_best_cpu_topology(asked, image)
        topology = (best.sockets, best.cores, best.threads)
    except Exception as error:  # noqa: BLE001
        topology_error = type(error).__name__
    try:
        found = hardware.numa_get_constraints(asked, image)
        realtime = hardware.get_realtime_cpu_constraint(asked, image)
        locked = hardware.get_locked_memory_constraint(asked, image)
        encryption = hardware.get_mem_encryption_constraint(asked, image)
        hardware.get_maxphysaddr_mode(asked, image)
    except Exception as error:  # noqa: BLE001
        return Constraints(type(error).__name__, None, topology_error, topology)
    cells = found.obj_to_primitive() if found is not None else None
    resources = (*([encryption.model] if encryption else []), *hardware.get_vpmems(asked))
    is_locked = bool(locked or realtime)
    return Constraints(None, cells, topology_error, topology, frozenset(realtime or ()), is_locked, resources)


def page_size(text: str) -> float | None:
    """Return what Nova reads as a page size in KiB, None if it is none."""
    flavor = objects.Flavor(extra_specs={'hw:mem_page_size': text})
    try:
        found: float = hardware._get_numa_pagesize_constraint(flavor, _image({}))
    except (exception.MemoryPageSizeInvalid, ValueError):
        return None
    return found


def read_host(data: dict[str, Any]) -> Any:
    """Return a NUMATopology from the JSON of a column."""
    return objects.NUMATopology.obj_from_db_obj(wire.dumps(data))


def read_guest(data: dict[str, Any]) -> Any:
    """Return an InstanceNUMATopology from plain data."""
    return objects.InstanceNUMATopology.obj_from_primitive(wire.loads(wire.dumps(data)))


def read_limits(data: dict[str, Any] | None) -> Any:
    """Return a NUMATopologyLimits from plain data, None without."""
    return objects.NUMATopologyLimits.obj_from_primitive(data) if data else None


def text(value: Any) -> str:
    """Return the JSON that Nova stores for an object."""
    return str(value._to_json())


def repair(cell: Any, *, pages: bool = False) -> Any:
    """Return a host cell that names a core for each dedicated CPU, and on request pages where it names none."""
    lone = sorted(cell.pcpuset.difference(*cell.siblings))
    changed = {'siblings': [*cell.siblings, *({cpu} for cpu in lone)] or [set()]}
    if pages and not cell.mempages:
        changed['mempages'] = [objects.NUMAPagesTopology(size_kb=4, total=1 << 40, used=1 << 20, reserved=0)]
    return objects.NUMACell(**{name: getattr(cell, name) for name in objects.NUMACell.fields} | changed)


def repair_all(host: Any, *, pages: bool) -> Any:
    """Return a host of which all cells are repaired."""
    return objects.NUMATopology(cells=[repair(cell, pages=pages) for cell in host.cells])


def _copy(guest_cell: Any, names: tuple[str, ...] = _REQUEST) -> Any:
    """Return a fresh guest cell; `obj_clone` costs ten times as much."""
    return objects.InstanceNUMACell(**{name: getattr(guest_cell, name) for name in names})


def fit_cell(host_cell: Any, guest_cell: Any, limits: Any, emulator: int) -> Any:
    """Return a fresh copy of a guest cell, fitted to a host cell; None if it does not fit, or the error's class."""
    try:
        return hardware._numa_fit_instance_cell(host_cell, _copy(guest_cell), limits, emulator)
    except exception.MemoryPageSizeNotSupported:
        return None
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


def networks_hold(host: Any, host_cells: Any, limits: Any) -> bool:
    """Tell whether Nova's rule for networks holds for a choice of host cells."""
    if limits is None or 'network_metadata' not in limits:
        return True
    return bool(hardware._numa_cells_support_network_metadata(host, host_cells, limits.network_metadata))


class _Mended:
    """Nova's check of a pair, made to leave the guest cell that it is handed as it was.

    :param caches: every check leaves an id that was never there, so nothing is found in the caches of the search
    :param page_sizes: the size that was asked for is asked of every host cell
    """

    def __init__(self, *, caches: bool, page_sizes: bool) -> None:
        self._caches, self._page_sizes = caches, page_sizes
        self._ids = itertools.count(1 << 20)
        self._sizes: dict[int, int | None] = {}

    def __call__(self, host_cell: Any, guest_cell: Any, limits: Any = None, cpuset_reserved: int = 0) -> Any:
        asked = self._sizes.setdefault(id(guest_cell), guest_cell.pagesize)
        if self._page_sizes:
            guest_cell.pagesize = asked
        fitted = _FIT_CELL(host_cell, guest_cell, limits, cpuset_reserved)
        if fitted is not None and self._caches:
            fitted = _copy(fitted, _PLACED)
        if self._caches:
            guest_cell.id = next(self._ids)
        return fitted


def fit(
    host: Any, guest: Any, limits: Any, *, pack: bool, caches: bool = False, page_sizes: bool = False
) -> dict[str, Any] | str | None:
    """Return Nova's whole answer as plain data, None if it finds no place, or the error's class.

    :param caches: with the fault of the caches mended
    :param page_sizes: with the fault of the page size mended
    """
    conf.CONF.set_override('packing_host_numa_cells_allocation_strategy', pack, group='compute')
    mended = caches or page_sizes
    hardware._numa_fit_instance_cell = _Mended(caches=caches, page_sizes=page_sizes) if mended else _FIT_CELL
    try:
        found = hardware.numa_fit_instance_to_host(host, guest.obj_clone(), {}, limits)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    finally:
        hardware._numa_fit_instance_cell = _FIT_CELL
    placed: dict[str, Any] | None = found.obj_to_primitive() if found is not None else None
    return placed


def usage(host: Any, guest: Any, *, free: bool = False) -> Any:
    """Return a host with a placed guest counted in or out, or the error's class."""
    try:
        return hardware.numa_usage_from_instance_numa(host, guest, free)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
