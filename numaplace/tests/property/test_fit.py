# SPDX-License-Identifier: Apache-2.0
"""The fit is exact, and keeps its laws, whatever guest and host are."""

import itertools
import os
import random
import subprocess
import sys
from dataclasses import replace

import hypothesis
import pytest
from hypothesis import strategies as st

from numaplace import fit, model
from numaplace.tests.property import cases, growth, judge, oracle, strategies, sweep, worlds

#: Cases of the seeded sweep; ``python -m numaplace.tests.property.sweep`` is its long form.
SWEEP = int(os.environ.get('NUMAPLACE_SWEEP', '20000'))
_SHARES = 4


@hypothesis.given(strategies.fits())
@hypothesis.settings(max_examples=500)
def test_the_answer_is_that_of_brute_force_and_keeps_all_laws(case):
    """Verdict, host cells, page sizes, audit, truth of the reasons, unchanged inputs, any order of listing."""
    assert [] == judge.faults(case)


@hypothesis.given(st.lists(strategies.fits(), min_size=2, max_size=4))
@hypothesis.settings(max_examples=100)
def test_one_host_answers_for_one_guest_after_the_other(chain):
    assert [] == judge.chain_faults(chain)


@pytest.mark.parametrize('share', range(_SHARES))
def test_no_case_of_the_sweep_is_faulty(share):
    count = SWEEP // _SHARES
    report = sweep.run(count, seed=share * count)
    assert [] == report.faulty
    assert count == report.cases
    assert count < 20 or 0 < report.fitting < count


def _grown(dice, case):
    for _ in range(dice.randint(1, 3)):
        step = dice.choice(growth.STEPS)
        case = case | {'host': step(dice, case['host'])}
        yield step.__name__, case


@pytest.mark.parametrize('share', range(_SHARES))
def test_more_capacity_never_refuses_more(share):
    """Where the rule for one cell allows it at all: see ``growth``."""
    count = SWEEP // _SHARES // 4
    for seed in range(share * count, (share + 1) * count):
        case = cases.draw(seed)
        fitted, dice = bool(cases.place(case)), random.Random(seed)
        for step, grown in _grown(dice, case):
            fits = bool(cases.place(grown))
            assert fits or not fitted, f'seed {seed}, {step}'
            fitted = fits


def _fitting_cases(count):
    """Return as many seeded cases that fit."""
    fitting = (case for case in map(cases.draw, itertools.count()) if cases.place(case))
    return itertools.islice(fitting, count)


@hypothesis.given(strategies.fits(), st.sampled_from(growth.STEPS), st.randoms(use_true_random=False))
def test_each_step_of_growth_keeps_what_fits(case, step, dice):
    hypothesis.assume(cases.place(case))
    assert cases.place(case | {'host': step(dice, case['host'])})


@hypothesis.given(strategies.fits())
def test_the_strategy_decides_the_host_cells_but_never_the_verdict(case):
    answers = [cases.place(case | {'strategy': name}) for name in cases.STRATEGIES]
    assert 1 == len({bool(answer) for answer in answers})


@pytest.mark.parametrize(
    'less', [{'limits': None}, {'networks': None}, {'emulator': None}], ids=lambda less: next(iter(less))
)
def test_who_asks_for_less_still_fits(less):
    for case in _fitting_cases(500):
        assert cases.place(case | less)


def test_a_guest_with_a_cell_less_still_fits():
    """Without networks: a cell may be there for the sake of the host cell that has one."""
    for case in _fitting_cases(500):
        smaller = case | {'guest': case['guest'][:-1], 'networks': None}
        assert not smaller['guest'] or cases.place(smaller)


@hypothesis.given(worlds.hosts(), st.integers(1, 12), st.integers(1, 1 << 17), st.sampled_from([None, 0.5, 1.0, 1.5]))
def test_a_guest_without_cells_floats_while_memory_and_shared_cpus_of_the_whole_host_suffice(
    host, vcpus, memory_mib, ratio
):
    guest = model.Guest(vcpus=vcpus, memory_mib=memory_mib)
    left_mib = sum(cell.shape.memory_mib for cell in host.cells) * (ratio or 1.0) - host.memory_used_mib
    shared = sum(cell.shape.shared_cpus.bit_count() for cell in host.cells)
    pinned = sum((cell.pinned_cpus & cell.shape.shared_cpus).bit_count() for cell in host.cells)
    used = host.floating_vcpus + sum(cell.cpu_usage for cell in host.cells) + pinned
    total_mib = sum(cell.shape.memory_mib for cell in host.cells) * (ratio or 1.0)
    expected = ['memory.host.total' if memory_mib > total_mib else 'memory.host'] * (memory_mib > left_mib)
    if vcpus > shared:
        expected.append('cpus.host.total')
    elif ratio and vcpus > 2 * ratio * shared - used:
        expected.append('cpus.host')
    answer = fit.place(host, guest, limits=model.Limits(2 * ratio, ratio) if ratio else None)
    if answer:
        assert [] == expected
        assert answer == model.Placement(guest, ())
        assert host == host.consume(answer).release(answer)
    else:
        assert expected == [reason.code for reason in answer.reasons]


@hypothesis.given(
    worlds.hosts(), st.integers(0, 12), st.integers(0, 1 << 17), st.integers(0, 1 << 17), st.integers(0, 1 << 17)
)
def test_memory_of_a_cell_without_cpus_used_or_not_changes_nothing_for_a_guest_without_cells(
    host, vcpus, memory_mib, beside_mib, used_mib
):
    cell = model.HostCell(model.CellShape(1000, 0, 0, beside_mib), memory_usage_mib=used_mib)
    larger = replace(host, cells=(*host.cells, cell), memory_used_mib=host.memory_used_mib + used_mib)
    guest = model.Guest(vcpus=vcpus, memory_mib=memory_mib)
    one, other = (fit.place(each, guest, limits=model.Limits(2.0, 1.5)) for each in (host, larger))
    assert (one == other) if one else (one.reasons == other.reasons)


_PRINT_ANSWERS = """
from numaplace.tests.property import cases
for seed in range(400):
    answer = cases.place(cases.draw(seed))
    print(seed, answer.cells if answer else answer.reasons)
"""


def test_every_process_gives_the_same_answers():
    """Whatever seed its hashes have: host cells, pins, page sizes, and reasons in their order."""
    outputs = set()
    for hash_seed in ('0', '1', '4242'):
        environment = os.environ | {'PYTHONHASHSEED': hash_seed}
        done = subprocess.run(
            [sys.executable, '-c', _PRINT_ANSWERS], env=environment, capture_output=True, text=True, check=True
        )
        outputs.add(done.stdout)
    (output,) = outputs
    assert 400 == len(output.splitlines())


def test_the_sweep_finds_a_faulty_engine(monkeypatch):
    """A judge that never objects would prove nothing: an engine that forgets the guest's last cell is found out."""
    right = fit.place

    def place(host, guest, **options):
        answer = right(host, guest, **options)
        return model.Placement(guest, answer.cells[:-1]) if answer else answer

    monkeypatch.setattr(fit, 'place', place)
    assert sweep.run(200).faulty


@pytest.mark.parametrize('strategy', sorted(cases.STRATEGIES))
def test_the_sweep_finds_a_wrong_order(monkeypatch, strategy):
    others = {'linear': fit.SPREAD, 'spread': fit.PACK, 'pack': fit.LINEAR}
    monkeypatch.setitem(cases.STRATEGIES, strategy, others[strategy])
    assert sweep.run(300).faulty
    first = next(case for case in map(cases.draw, range(300)) if judge.faults(case))
    case = judge.smallest(first, judge.faults)
    assert oracle.choose(case) is not None
    assert len(case['host']) <= 3


class _AsListed:
    name = 'as listed'

    def order(self, host, guest):
        return host.cells


def test_the_question_without_a_placement_is_answered_as_the_one_with_it():
    fitting = 0
    for seed in range(1000):
        host, guest, limits, networks = cases.build(cases.draw(seed))
        answer = fit.place(host, guest, limits=limits, networks=networks, strategy=_AsListed())
        refusal = fit.refusal(host, guest, limits=limits, networks=networks)
        assert bool(answer) == (refusal is None), seed
        if refusal is not None:
            assert answer.reasons == refusal.reasons, seed
        fitting += refusal is None
    assert 100 < fitting < 900
