# SPDX-License-Identifier: Apache-2.0
"""numaplace behind the functions that a scorer of Nova's answers calls: plain JSON in and out.

Answers are ``{'ok': JSON or None}`` or ``{'error': name of the class}``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from numaplace import exception, request, wire
from numaplace import fit as engine
from numaplace.model import Flavor
from numaplace.tests import nova_requests

__all__ = ['constraints', 'fit', 'usage']

_Answer = dict[str, Any]


def _answer(compute: Callable[[], _Answer | None]) -> _Answer:
    try:
        return {'ok': compute()}
    except exception.NumaplaceException as error:
        return {'error': type(error).__name__}


def constraints(flavor: Mapping[str, Any], image_properties: Mapping[str, Any], _conf: object = None) -> _Answer:
    """Return the InstanceNUMATopology that a flavor and an image request, None without one."""

    def compute() -> _Answer | None:
        asked = Flavor('flavor', flavor['vcpus'], flavor['memory_mb'], extra_specs=flavor['extra_specs'])
        guest = request.read(asked, image_properties)
        return nova_requests.write_guest(guest) if guest.cells else None

    return _answer(compute)


def fit(host: _Answer, instance: _Answer, limits: _Answer | None, conf: Mapping[str, Any]) -> _Answer:
    """Return the InstanceNUMATopology placed on a host, None if it does not fit."""

    def compute() -> _Answer | None:
        ratios, networks = wire.read_limits(limits) if limits else (None, None)
        pack = conf.get('packing_host_numa_cells_allocation_strategy')
        placement = engine.place(
            wire.read_host(host),
            wire.read_guest(instance),
            limits=ratios,
            networks=networks,
            strategy=engine.PACK if pack else engine.SPREAD,
        )
        return wire.write_placement(placement) if placement else None

    return _answer(compute)


def usage(host: _Answer, instance: _Answer, free: bool) -> _Answer:
    """Return the host's NUMATopology with a placed instance counted in, or out if `free`."""

    def compute() -> _Answer:
        counted = wire.read_host(host)
        placement = wire.read_placement(instance, counted)
        return wire.write_host(counted.release(placement) if free else counted.consume(placement))

    return _answer(compute)
