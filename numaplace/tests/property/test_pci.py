# SPDX-License-Identifier: Apache-2.0
"""PCI devices are assigned as brute force over all assignments would, whatever devices, requests and host cells are."""

import itertools
import os

import pytest

from numaplace.fit import pci, supplies
from numaplace.tests.property import pci_cases, sweep

#: Cases of the sweep; ``python -m numaplace.tests.property.sweep --pci`` is its long form.
SWEEP = int(os.environ.get('NUMAPLACE_SWEEP', '20000')) // 10
_SHARES = 4


@pytest.mark.parametrize('share', range(_SHARES))
def test_no_case_of_the_sweep_is_faulty(share):
    """Verdict, cost of the assignment, truth of the reasons, and both laws, for every set of host cells."""
    count = SWEEP // _SHARES
    report = sweep.run(count, seed=share * count, kind='pci')
    assert [] == report.faulty
    assert count < 20 or 0 < report.fitting < count


def test_the_sweep_finds_an_assignment_that_forgets_cards(monkeypatch):
    monkeypatch.setattr(pci, 'PF', 'none')
    assert sweep.run(200, kind='pci').faulty


def test_the_sweep_finds_an_assignment_of_distant_devices(monkeypatch):
    monkeypatch.setattr(supplies, '_cost', lambda distance, share=0: (0, 0, share))
    assert sweep.run(200, kind='pci').faulty


def test_the_sweep_finds_an_assignment_that_breaks_too_many_cards(monkeypatch):
    monkeypatch.setattr(supplies, '_cost', lambda distance, share=0: (distance == 2, distance == 1, 0))
    monkeypatch.setattr(supplies._Problem, 'cost', lambda problem, node: node.bound)
    assert sweep.run(400, kind='pci').faulty


def test_the_order_of_requests_and_devices_changes_no_verdict():
    for seed in range(300):
        case = pci_cases.draw(seed)
        cells = frozenset(cell for cell, _socket in case['sockets'])
        turned = {**case, 'devices': case['devices'][::-1], 'requests': case['requests'][::-1]}
        one, other = (pci_cases.build(each)[0] for each in (case, turned))
        for size, part in itertools.product(range(1, len(cells) + 1), sorted(cells)):
            chosen = frozenset(sorted(cells)[:size]) | {part}
            assert one.supports(chosen) == other.supports(chosen)


@pytest.mark.parametrize(
    ('vfs', 'pfs', 'split'), [((4, 4), 3, 1), ((8, 1), 2, 2), ((9, 9), 1, 3), ((9, 9), 2, None), ((0, 0), 4, 0)]
)
def test_vfs_come_from_the_fewest_cards(vfs, pfs, split):
    """Of four cards of 8 VFs; two requests share the VFs of a card, and another wants whole cards."""
    cards = [(supplies.Card(supplies.Supply(1, 0b100), (supplies.Supply(8, 0b011),)), 4)]
    choice = supplies.choose([*vfs, pfs], [], cards)
    assert split == (choice and choice.cards[0][0])
