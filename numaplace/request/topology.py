# SPDX-License-Identifier: Apache-2.0
"""The guest cells of a request: how many there are, and the vCPUs and the memory of each.

Nova 34, `numa_get_constraints`: `_get_numa_topology_auto` and `_get_numa_topology_manual`.
"""

from __future__ import annotations

from collections.abc import Sequence

from numaplace import cpuset, exception
from numaplace.request.properties import Properties

__all__ = ['MAX_NODES', 'Share', 'node_count', 'shares']

#: More guest cells than this are never read from ``hw:numa_cpus.N``.
MAX_NODES = 128
#: Python is slow to parse numbers with very many digits.
_MOST_DIGITS = 15

#: What one guest cell has: the mask of its vCPUs and its memory in MiB.
Share = tuple[int, int]


def node_count(properties: Properties) -> int | None:
    """Return the number of guest cells that flavor or image request, or None.

    :raises: ImageNUMATopologyForbidden if both do; InvalidNUMANodesNumber
    """
    of_flavor, of_image = properties.of_flavor('numa_nodes'), properties.of_image('numa_nodes')
    if of_flavor and of_image:
        raise exception.ImageNUMATopologyForbidden(
            f'{properties.image_place("hw_numa_nodes", of_image)}: '
            f'{properties.flavor_place("hw:numa_nodes", of_flavor)} is set already, and only one of them may be'
        )
    text = of_flavor or of_image
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10) or text.startswith('0'):
        if of_flavor:
            place = properties.flavor_place('hw:numa_nodes', text)
        else:
            place = properties.image_place('hw_numa_nodes', text)
        raise exception.InvalidNUMANodesNumber(f'{place}: expected an integer of at least 1, up to 999999999')
    return int(text)


def _cpu_lists(properties: Properties) -> list[int] | None:
    """Return the masks of ``numa_cpus.N``, or None if there are none."""
    of_flavor, of_image = properties.listed('numa_cpus')
    _forbid_both(properties, 'numa_cpus', of_flavor, of_image)
    masks = []
    for number, text in enumerate((of_flavor or of_image)[:MAX_NODES]):
        place = _place(properties, 'numa_cpus', number, text, of_flavor)
        try:
            masks.append(cpuset.parse(text))
        except exception.Invalid as error:
            raise exception.Invalid(f'{place}: {error}') from None
        if not masks[-1]:
            raise exception.Invalid(f'{place}: expected at least one vCPU')
    return masks or None


def _memory_lists(properties: Properties) -> list[int] | None:
    """Return the sizes in MiB of ``numa_mem.N``, or None if there are none."""
    of_flavor, of_image = properties.listed('numa_mem')
    _forbid_both(properties, 'numa_mem', of_flavor, of_image)
    sizes = []
    for number, text in enumerate((of_flavor or of_image)[:MAX_NODES]):
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS and int(digits)):
            place = _place(properties, 'numa_mem', number, text, of_flavor)
            raise exception.Invalid(
                f'{place}: expected a number of MiB of at least 1, with up to {_MOST_DIGITS} digits'
            )
        sizes.append(int(digits))
    return sizes or None


def _forbid_both(properties: Properties, key: str, of_flavor: Sequence[str], of_image: Sequence[str]) -> None:
    if of_flavor and of_image:
        raise exception.ImageNUMATopologyForbidden(
            f'{properties.image_place(f"hw_{key}.0", of_image[0])}: flavor {properties.flavor.name!r} sets hw:{key}.0 '
            'already, and only one of them may be set'
        )


def _place(properties: Properties, key: str, number: int, text: str, of_flavor: Sequence[str]) -> str:
    if of_flavor:
        return properties.flavor_place(f'hw:{key}.{number}', text)
    return properties.image_place(f'hw_{key}.{number}', text)


def _source(properties: Properties, key: str) -> str:
    """Name the keys ``KEY.N`` for an error: those of the image if it has them, otherwise those of the flavor."""
    if properties.listed(key)[1]:
        return f'image: hw_{key}.N'
    return f'flavor {properties.flavor.name!r}: hw:{key}.N'


def _nodes_place(properties: Properties) -> str:
    if text := properties.of_flavor('numa_nodes'):
        return properties.flavor_place('hw:numa_nodes', text)
    if text := properties.of_image('numa_nodes'):
        return properties.image_place('hw_numa_nodes', text)
    return f'flavor {properties.flavor.name!r}: hw:numa_nodes is not set, which makes one guest cell'


def shares(properties: Properties, nodes: int) -> list[Share]:
    """Return what each guest cell has, as listed or divided evenly.

    :param nodes: number of guest cells
    :raises: ImageNUMATopologyAsymmetric, ImageNUMATopologyIncomplete, ImageNUMATopologyForbidden,
        ImageNUMATopologyCPUOutOfRange, ImageNUMATopologyCPUDuplicates, ImageNUMATopologyCPUsUnassigned,
        ImageNUMATopologyMemoryOutOfRange; Invalid for what is not a list of vCPUs or not a size
    """
    masks, sizes = _cpu_lists(properties), _memory_lists(properties)
    flavor = properties.flavor
    if masks is None and sizes is None:
        return _even_shares(properties, nodes)
    if masks is None or sizes is None or not len(masks) == len(sizes) == nodes:
        raise exception.ImageNUMATopologyIncomplete(
            f'{_nodes_place(properties)}: {_source(properties, "numa_cpus")} is there for {len(masks or ())} guest '
            f'cells, {_source(properties, "numa_mem")} for {len(sizes or ())}; expected both for each of {nodes}, '
            'numbered from 0'
        )
    _check_cpus(properties, masks)
    if sum(sizes) != flavor.memory_mib:
        raise exception.ImageNUMATopologyMemoryOutOfRange(
            f'{_source(properties, "numa_mem")}={"+".join(map(str, sizes))} adds up to {sum(sizes)} MiB; expected all '
            f'{flavor.memory_mib} MiB of flavor {flavor.name!r}'
        )
    return list(zip(masks, sizes, strict=True))


def _even_shares(properties: Properties, nodes: int) -> list[Share]:
    flavor = properties.flavor
    if flavor.vcpus % nodes or flavor.memory_mib % nodes:
        raise exception.ImageNUMATopologyAsymmetric(
            f'{_nodes_place(properties)}: {flavor.vcpus} vCPUs and {flavor.memory_mib} MiB of flavor {flavor.name!r} '
            f'do not divide evenly into {nodes} guest cells; expected a divisor of both, or hw:numa_cpus.N and '
            'hw:numa_mem.N (of an image: hw_numa_cpus.N and hw_numa_mem.N) too'
        )
    number = flavor.vcpus // nodes
    block = (1 << number) - 1
    return [(block << node * number, flavor.memory_mib // nodes) for node in range(nodes)]


def _check_cpus(properties: Properties, masks: list[int]) -> None:
    of_flavor, of_image = properties.listed('numa_cpus')
    vcpus = properties.flavor.vcpus
    everything, seen = (1 << vcpus) - 1, 0
    for node, mask in enumerate(masks):
        place = _place(properties, 'numa_cpus', node, (of_flavor or of_image)[node], of_flavor)
        if beyond := mask & ~everything:
            raise exception.ImageNUMATopologyCPUOutOfRange(
                f'{place}: there is no vCPU {cpuset.text(beyond)}; the flavor has only {cpuset.text(everything)}'
            )
        if twice := mask & seen:
            raise exception.ImageNUMATopologyCPUDuplicates(
                f'{place}: another cell has vCPU {cpuset.text(twice)} already; expected each of '
                f'{cpuset.text(everything)} in one cell'
            )
        seen |= mask
    if missing := everything & ~seen:
        raise exception.ImageNUMATopologyCPUsUnassigned(
            f'{_source(properties, "numa_cpus")}: vCPU {cpuset.text(missing)} is in none of them; expected each of '
            f'{cpuset.text(everything)} in one'
        )
