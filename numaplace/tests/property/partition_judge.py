# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an answer of auto mode: it is not that of the plain search, or it breaks a law."""

from typing import Any

from numaplace import cpuset
from numaplace.model import Placement, Refusal
from numaplace.tests.property import partition_cases, partition_oracle

__all__ = ['faults']


def faults(case: partition_cases.Case, answer: Placement | Refusal) -> list[str]:
    """Return the faults of an answer, in words."""
    devices = partition_cases.devices(case)
    expected = partition_oracle.best(case, devices.supports if devices else lambda _ids: True)
    if not answer:
        return [f'refused, expected {expected}'] if expected else [] if answer.reasons else ['refused without reasons']
    cells = {cell['id']: cell for cell in case['host']}
    nodes = [placed.host_cell for placed in answer.cells if placed.guest_cell.vcpus]
    tier = [placed.host_cell for placed in answer.cells if not placed.guest_cell.vcpus]
    if expected is None:
        return [f'placed on {nodes} and {tier}, expected a refusal']
    found = [] if (nodes, tier) == expected else [f'placed on {nodes} and {tier}, expected {expected}']
    lengths = [partition_oracle.length([cells[cell_id] for cell_id in ids]) for ids in (nodes, expected[0])]
    if len(nodes) != len(expected[0]) or lengths[0] != lengths[1]:
        found.append(f'{len(nodes)} nodes at distance {lengths[0]}, expected {len(expected[0])} at {lengths[1]}')
    return found + list(_broken_laws(case, answer, cells))


def _broken_laws(case, answer, cells):
    guest, wish = answer.guest, case['wish']
    vcpus = sorted(vcpu for placed in answer.cells for vcpu in cpuset.ids(placed.guest_cell.vcpus))
    if vcpus != list(range(case['vcpus'])):
        yield f'vCPUs {vcpus}'
    memory = {False: 0, True: 0}
    for placed in answer.cells:
        memory[not placed.guest_cell.vcpus] += placed.guest_cell.memory_mib
    if memory != {False: case['memory'] - wish['tier'], True: wish['tier']}:
        yield f'memory {memory}'
    host, _ = partition_cases.build(case)
    if host.consume(answer).release(answer) != host:
        yield 'counted in and out, the host is another'
    threads = guest.cpu_topology.threads
    for placed in answer.cells if wish['pinning'] == 'core' else ():
        cell, pins = cells[placed.host_cell], dict(placed.pins)
        if set(pins.values()) - partition_oracle.usable(cell, wish, threads):
            yield f'vCPUs on CPUs {sorted(pins.values())} of node {cell["id"]}'
        yield from _split_cores(cell, pins, threads)


def _split_cores(cell: dict[str, Any], pins: dict[int, int], threads: int):
    """Yield the guest cores of several threads that are not one host core."""
    cores = [set(core) for core in cell['siblings']]
    for core in {vcpu // threads for vcpu in pins} if threads > 1 else ():
        cpus = {pins[vcpu] for vcpu in range(core * threads, (core + 1) * threads) if vcpu in pins}
        if cpus not in cores:
            yield f'guest core {core} on CPUs {sorted(cpus)}'
