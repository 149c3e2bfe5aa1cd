# SPDX-License-Identifier: Apache-2.0
"""The strategy ``closest`` on whole hosts: trying all sets of host cells finds none with a smaller sum of distances."""

import itertools
import os
import random
from dataclasses import replace

import pytest

from numaplace import fit
from numaplace.model import Placement
from numaplace.tests import amount
from numaplace.tests.property import cases, oracle

#: Cases of the sweep in all.
CASES = int(os.environ.get('NUMAPLACE_CLOSEST_CASES', '100000' if amount.IS_LONG else '2000'))
_SHARES = 2


def _case(seed):
    """Return a case, distances between its host cells by ids, and its host with these; at times only sockets."""
    dice = random.Random(seed)
    case = cases.draw(seed) | {'strategy': 'spread'}
    host, *asked = cases.build(case)
    ids = [cell.id for cell in host.cells]
    how = dice.choice(('symmetric', 'any', 'sockets', 'nothing'))
    socket = {one: dice.choice((0, 0, 1, None)) if how == 'sockets' else None for one in ids}
    far = {one: {} for one in ids}
    for one, other in itertools.permutations(ids, 2):
        near = socket[one] is not None and socket[one] == socket[other]
        drawn = dice.choice((12, 16, 21, 32)) if how in ('symmetric', 'any') else 15 if near else 20
        far[one][other] = far[other].get(one, drawn) if how == 'symmetric' else drawn
    rows = {one: tuple(far[one].items()) if how in ('symmetric', 'any') else () for one in ids}
    shapes = [replace(cell.shape, socket=socket[cell.id], distances=rows[cell.id]) for cell in host.cells]
    cells = tuple(replace(cell, shape=shape) for cell, shape in zip(host.cells, shapes, strict=True))
    return case, far, replace(host, cells=cells), asked


def _brute_force(case, far):
    """Return the host cells with the least sum of distances; of equal ones with the most free; then in the order."""
    table, networks = oracle.pairs(case), oracle.known_networks(case)
    cells = oracle.ordered(case)
    pinned = case['guest'][0]['policy'] in ('dedicated', 'mixed')
    free = {
        cell['id']: len(set(cell['dedicated']) - set(cell['pinned'])) if pinned else -cell['cpu_used'] for cell in cells
    }
    found = []
    for place, chosen in enumerate(itertools.combinations([cell['id'] for cell in cells], len(case['guest']))):
        fitting = (
            permutation
            for permutation in itertools.permutations(chosen)
            if all(cell in row for cell, row in zip(permutation, table, strict=True))
        )
        if all(ids.intersection(chosen) for ids in networks) and (first := next(fitting, None)):
            length = sum(far[one][other] for one, other in itertools.permutations(chosen, 2))
            found.append((length, -sum(free[one] for one in chosen), place, first))
    return min(found)[-1] if found else None


@pytest.mark.parametrize('share', range(_SHARES))
def test_no_set_of_host_cells_that_fits_is_closer(share):
    count, fits, other = CASES // _SHARES, 0, 0
    for seed in amount.seeds(share * count, count):
        case, far, host, (guest, limits, networks) = _case(seed)
        answer = fit.place(host, guest, limits=limits, networks=networks, strategy=fit.CLOSEST)
        chosen = tuple(cell.host_cell for cell in answer.cells) if isinstance(answer, Placement) else None
        assert _brute_force(case, far) == chosen, f'seed {seed}'
        fits += chosen is not None
        other += chosen is not None and chosen != oracle.choose(case)
    assert 0.2 * count < fits < 0.9 * count
    assert other > 0.05 * fits, 'spread seldom takes the closest'
