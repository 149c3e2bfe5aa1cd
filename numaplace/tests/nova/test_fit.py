# SPDX-License-Identifier: Apache-2.0
"""A real Nova judges the engine: each pair of cells, all of them together, the usage, and what is stored."""

import pytest

from numaplace import fit, model
from numaplace.tests.nova import seeds
from numaplace.tests.property import cases


@pytest.fixture(scope='module')
def fits():
    """The comparison; it needs Nova to be imported."""
    from numaplace.tests.nova import fits  # noqa: PLC0415

    return fits


@pytest.mark.parametrize('share', range(seeds.SHARES))
def test_a_guest_fits_where_novas_own_rules_say_so(fits, tally, share):
    """By Nova's rule for one cell on fresh copies, over all assignments, and its rule for networks."""
    unknown = []
    for seed in seeds.share(share):
        fitted, findings = fits.compare(fits.Question.of(cases.draw(seed)))
        tally[f'fits: {"fits" if fitted else "does not fit"}'] += 1
        tally.update(f'fits, disagreements: {finding.cause}' for finding in findings)
        unknown += [(seed, finding.text) for finding in findings if finding.cause is None]
    assert [] == unknown[:5]


def _unknown(fits, count=150):
    findings = [finding for seed in range(count) for finding in fits.compare(fits.Question.of(cases.draw(seed)))[1]]
    return [finding for finding in findings if finding.cause is None]


def test_an_engine_that_refuses_everything_is_found_out(fits, monkeypatch):
    monkeypatch.setattr(fit, 'place', lambda host, guest, **options: model.Refusal.of())
    assert _unknown(fits)


def test_an_engine_that_forgets_the_networks_is_found_out(fits, monkeypatch):
    right = fit.place
    monkeypatch.setattr(fit, 'place', lambda host, guest, **options: right(host, guest, **options | {'networks': None}))
    assert _unknown(fits)


def test_a_host_that_counts_a_cpu_less_is_found_out(fits, monkeypatch):
    right = model.Host.consume

    def consume(host, placement):
        counted = right(host, placement)
        first = counted.cells[0]
        less = model.HostCell(first.shape, 0, first.cpu_usage, first.memory_usage_mib, first.pages)
        return model.Host((less, *counted.cells[1:]), counted.vcpus_used, counted.memory_used_mib)

    monkeypatch.setattr(model.Host, 'consume', consume)
    assert _unknown(fits)
