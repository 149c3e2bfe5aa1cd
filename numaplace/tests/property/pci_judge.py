# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the assignment of PCI devices, for every set of host cells."""

import itertools
from collections import Counter
from dataclasses import replace

from numaplace import fit
from numaplace.model import PciPool
from numaplace.tests.property import pci_cases

__all__ = ['faults']


def faults(case: pci_cases.Case) -> list[str]:
    """Return what is wrong with the answers for a case."""
    devices, pools, requests = pci_cases.build(case)
    ids = [cell for cell, _socket in case['sockets']]
    found, answers = [], {}
    for size in range(len(ids) + 1):
        for cells in map(frozenset, itertools.combinations(ids, size)):
            expected = pci_cases.best(case, cells)
            answers[cells] = expected is not None
            if devices.supports(cells) != answers[cells]:
                found.append(f'{sorted(cells)}: supported {devices.supports(cells)}, {answers[cells]} by brute force')
            found += _wrong(case, devices.assign(cells), expected, cells, pools)
            if not answers[cells]:
                found += _untrue(case, cells, devices, pools, requests)
    return [*found, *_unlike(devices, answers)]


def _wrong(case, assigned, expected, cells, pools):
    """Yield what is wrong with an assignment."""
    if assigned is None or expected is None:
        if (assigned is None) != (expected is None):
            yield f'{sorted(cells)}: assigns {assigned}, {expected} by brute force'
        return
    left = Counter({id(pool): pool.count for pool in pools})
    parts = []
    for request, own in zip(case['requests'], assigned, strict=True):
        if sum(count for _, count in own) != request['count']:
            yield f'{sorted(cells)}: {own} for {request}'
        for pool, count in own:
            left[id(pool)] -= count
            alone = {**case, 'requests': [{**request, 'count': 1}], 'devices': [_single(pool)]}
            if pci_cases.best(alone, cells) is None:
                yield f'{sorted(cells)}: {pool} is not for {request}'
            parts.append((pool, count))
    if min(left.values(), default=0) < 0:
        yield f'{sorted(cells)}: more is taken than there is'
    split = {pool.parent for pool, _ in parts if pool.parent}
    if any(pool.address in split for pool, _ in parts):
        yield f'{sorted(cells)}: a PF goes together with its VF'
    near = bool(cells)
    cost = (
        sum(count for pool, count in parts if near and pool.numa_node is not None and pool.numa_node not in cells),
        sum(count for pool, count in parts if near and pool.numa_node is None),
        sum(pool.address in split for pool in pools),
    )
    if cost != expected:
        yield f'{sorted(cells)}: costs {cost}, {expected} by brute force'


def _single(pool):
    tags = {} if pool.physical_network is None else {'physical_network': pool.physical_network}
    return {
        'address': pool.address,
        'product_id': pool.product_id,
        'dev_type': pool.dev_type,
        'node': pool.numa_node,
        'parent': pool.parent,
        'tags': tags,
    }


def _untrue(case, cells, devices, pools, requests):
    """Yield which reason is untrue: with as many devices more as it says are missing, it must be another."""
    if not cells:
        return
    reasons = devices.reasons(cells)
    if not reasons or 'pci.required' in [reason.code for reason in reasons]:
        yield f'{sorted(cells)}: no reason'
    for reason in reasons:
        if reason.code == 'pci.functions':
            apart = fit.PciAssignment(dict(case['sockets']), [replace(pool, parent=None) for pool in pools], requests)
            if not apart.supports(cells):
                yield f'{sorted(cells)}: not for a PF and its VFs'
            continue
        short = int(reason.needed - reason.available)
        if short < 1:
            yield f'{sorted(cells)}: {reason} is not short'
        if len(reasons) > 1 or reason.code == 'pci.joint':
            continue
        lacking = next(request for request in requests if reason.subject.startswith(str(request)))
        more = [_for(lacking, min(cells), number) for number in range(short)]
        for count, expected in ((short, False), (short - 1, True)):
            again = fit.PciAssignment(dict(case['sockets']), [*pools, *more[:count]], [lacking])
            stays = not again.supports(cells) and again.reasons(cells)[0].code == reason.code
            if stays != expected and not (count == short and again.supports(cells)):
                yield f'{sorted(cells)}: with {count} more {reason} {"stays" if stays else "goes"}'


def _for(request, node, number):
    """Return a device that suits the first alternative of a request."""
    wanted = request.alternatives[0]
    pool = PciPool('8086', wanted.get('product_id', 'x'), wanted.get('dev_type', 'type-PCI'), node, 1, f'more.{number}')
    return replace(pool, physical_network=wanted.get('physical_network'))


def _unlike(devices, answers):
    """Yield which sets break a law: more host cells never take devices away, and those of one kind are alike."""
    for cells, supported in answers.items():
        if not cells:
            continue
        for most in range(1, len(cells) + 1):
            parts = [part for part in answers if part and part <= cells and len(part) <= most]
            if devices.excludes(cells, most) and any(answers[part] for part in parts):
                yield f'{sorted(cells)} are excluded although {most} of them are supported'
        for one in cells:
            for other in {cell for each in answers for cell in each} - cells:
                if devices.kind(one) == devices.kind(other) and answers[cells - {one} | {other}] != supported:
                    yield f'{sorted(cells)}: {one} and {other} are of one kind, and not alike'
