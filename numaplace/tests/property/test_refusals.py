# SPDX-License-Identifier: Apache-2.0
"""The numbers of a refusal add up: with what it says is missing, the guest fits, or another cause remains."""

import random
from collections import Counter
from functools import partial

from numaplace import explain, fit, model, partition
from numaplace.model.vnuma import INTERLEAVE, PIN_TO_CORE
from numaplace.tests.property import additions, cases


def _questions(seed):
    """Yield guests of some kinds on the host of a case: the host, its limits, and the function that places it."""
    dice = random.Random(seed)
    host, guest, limits, networks = cases.build(cases.draw(seed))
    yield host, limits, partial(fit.place, guest=guest, limits=limits, networks=networks)
    ids = [cell.id for cell in host.cells]
    host_cell_ids = [dice.choice(ids[:2]) for _ in guest.cells]
    yield host, limits, partial(fit.place, guest=guest, limits=limits, host_cell_ids=host_cell_ids)
    floating = model.Guest(dice.randint(1, 40), 1024 * dice.randint(1, 40))
    yield host, limits, partial(fit.place, guest=floating, limits=limits)
    busy = host.consume(model.Placement(model.Guest(dice.randint(1, 9), 1024 * dice.randint(1, 9))))
    yield busy, limits, partial(fit.place, guest=guest, limits=limits)
    keep = dice.randint(0, 1)
    wish = model.Wish(pinning=PIN_TO_CORE, keep=keep, distribution=INTERLEAVE, remainder_first=True)
    divided = model.Guest(4 * dice.randint(1, 8), 1024 * dice.randint(1, 8), wish=wish)
    yield host, limits, partial(partition.place, guest=divided, limits=limits)


def _key(reason):
    """Return what makes two reasons the same cause.

    Guest cells that compete may do so for more host cells. Where a host cell has no core, the first one that it gets is
    the one that the guest keeps free.
    """
    cells = () if reason.code == 'cells.assignment' else reason.host_cells
    return reason.code, reason.guest_cells, cells, bool(reason.subject)


def test_what_a_refusal_says_is_missing_is_enough_for_its_cause():
    met = Counter()
    for seed in range(450):
        for host, limits, place in _questions(seed):
            answer = place(host)
            for reason in () if answer else answer.reasons:
                code = explain.code_of(reason)
                if code not in additions.ADDITIONS:
                    assert 'short)' not in explain.sentence(reason)
                    continue
                met[code] += 1
                again = place(additions.add(host, reason, limits))
                assert again or _key(reason) not in map(_key, again.reasons), (seed, reason)
    assert set(additions.ADDITIONS) == set(met)


def test_every_cause_has_an_amount_that_can_be_added_or_the_reason_why_not():
    assert set(explain.CODES) == {*additions.ADDITIONS, *additions.NO_AMOUNT}
    assert not set(additions.ADDITIONS).intersection(additions.NO_AMOUNT)
