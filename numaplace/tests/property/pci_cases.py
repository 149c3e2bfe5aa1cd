# SPDX-License-Identifier: Apache-2.0
"""PCI devices and requests as plain data, drawn by a seed, and brute force over all assignments of single devices.

The rules are written from those of Nova 34 (`nova/pci/stats.py`) alone, and share nothing with what they judge.
"""

import random
from typing import Any

from numaplace import fit, model

__all__ = ['Case', 'best', 'build', 'draw']

Case = dict[str, Any]

_PF, _VF, _PLAIN = 'type-PF', 'type-VF', 'type-PCI'
_POLICIES = ('required', 'legacy', 'preferred', 'socket')


def draw(seed: int) -> Case:
    """Return a case: sockets by host cell, single devices, and requests; scarce on purpose."""
    dice = random.Random(seed)
    cells = sorted(dice.sample(range(5), dice.randint(1, 4)))
    sockets = [[cell, dice.randrange(2)] for cell in cells]
    if dice.random() < 0.1:
        dice.choice(sockets)[1] = None
    places = [*cells, None] if dice.random() < 0.7 else [*cells, None, 9]
    devices: list[Case] = []
    for card in range(dice.randint(1, 5)):
        node = dice.choice(places)
        net = {'physical_network': 'lake'} if dice.random() < 0.3 else {}
        if dice.random() < 0.3:
            devices.append(_device(card, 0, dice.choice('ab'), _PLAIN, node, None, {}))
            continue
        same = dice.random() < 0.3
        if dice.random() < 0.8:
            devices.append(_device(card, 0, 'c', _PF, node, None, net))
        near = node if dice.random() < 0.95 else dice.choice(places)
        devices += [
            _device(card, number, 'c' if same else 'd', _VF, near, f'{card}.0', net)
            for number in range(1, dice.randint(1, 3))
        ]
    dice.shuffle(devices)
    requests = [
        {
            'count': dice.choice((1, 1, 1, 1, 2, 3)),
            'alternatives': [_wanted(dice, devices) for _ in range(dice.choice((1, 1, 1, 2)))],
            'policy': dice.choice(_POLICIES),
        }
        for _ in range(dice.choice((1, 2, 2, 3)))
    ]
    return {'sockets': sockets, 'devices': devices[:9], 'requests': requests}


def _device(card, number, product, kind, node, parent, tags):  # noqa: PLR0917
    return {
        'address': f'{card}.{number}',
        'product_id': product,
        'dev_type': kind,
        'node': node,
        'parent': parent,
        'tags': tags,
    }


def _wanted(dice, devices):
    """Return what one of the devices has, as a rule."""
    like = dice.choice(devices) if devices and dice.random() < 0.95 else _device(9, 0, 'a', _PLAIN, None, None, {})
    wanted = {}
    if dice.random() < 0.5:
        wanted['product_id'] = dice.choice((like['product_id'], like['product_id'].upper()))
    if like['dev_type'] == _PF or dice.random() < 0.5:
        wanted['dev_type'] = like['dev_type']
    if like['tags'] and dice.random() < 0.3:
        wanted['physical_network'] = 'Lake'
    return wanted


def build(case: Case) -> tuple[fit.PciAssignment, list[model.PciPool], list[model.PciRequest]]:
    """Return the devices of a case for the fit; VFs of one PF are one pool."""
    pools: dict[Any, Case] = {}
    for device in case['devices']:
        key = device['parent'], device['product_id'], device['node'], str(device['tags'])
        key = key if device['dev_type'] == _VF else device['address']
        pools.setdefault(key, {**device, 'count': 0})['count'] += 1
    made = [
        model.PciPool(
            '8086',
            pool['product_id'],
            pool['dev_type'],
            pool['node'],
            pool['count'],
            None if pool['dev_type'] == _VF else pool['address'],
            pool['parent'],
            pool['tags'].get('physical_network'),
        )
        for pool in pools.values()
    ]
    requests = [
        model.PciRequest(each['count'], tuple(each['alternatives']), each['policy'], str(number))
        for number, each in enumerate(case['requests'])
    ]
    return fit.PciAssignment(dict(case['sockets']), made, requests), made, requests


def _suits(request, device):
    named = any(wanted.get('dev_type') == _PF for wanted in request['alternatives'])
    if device['dev_type'] == _PF and not named:
        return False
    known = {**device, **device['tags']}
    return any(
        all(str(known.get(key)).lower() == value.lower() for key, value in wanted.items())
        for wanted in request['alternatives']
    )


def _is_near(request, device, sockets, cells):
    node, policy = device['node'], request['policy']
    if not cells or node in cells or policy == 'preferred':
        return True
    if node is None:
        return policy == 'legacy'
    if policy != 'socket' or None in sockets.values():
        return False
    return node in sockets and sockets[node] in {sockets[cell] for cell in cells}


def best(case: Case, cells: frozenset[int]) -> tuple[int, int, int] | None:
    """Return the least cost of an assignment for a set of host cells, None if there is none.

    :returns: the numbers of devices on other host cells, of those on unknown ones, and of free PFs whose VFs are taken
    """
    devices, sockets = case['devices'], dict(case['sockets'])
    used = {0}
    for request in case['requests']:
        allowed = [
            1 << number
            for number, device in enumerate(devices)
            if _suits(request, device) and _is_near(request, device, sockets, cells)
        ]
        for _ in range(request['count']):
            used = {mask | bit for mask in used for bit in allowed if not mask & bit}
    costs = [_cost(devices, mask, cells) for mask in used]
    return min((cost for cost in costs if cost is not None), default=None)


def _cost(devices, mask, cells):
    taken = [device for number, device in enumerate(devices) if mask >> number & 1]
    parents = {device['parent'] for device in taken}
    if any(device['address'] in parents for device in taken):
        return None
    if not cells:
        distant = unknown = 0
    else:
        distant = sum(device['node'] is not None and device['node'] not in cells for device in taken)
        unknown = sum(device['node'] is None for device in taken)
    return distant, unknown, sum(device['address'] in parents for device in devices)
