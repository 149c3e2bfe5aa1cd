# SPDX-License-Identifier: Apache-2.0
"""A refusal is falsy, and knows why when it is asked."""

from numaplace import model

REASON = model.Reason('cpus.dedicated.free', needed=4, available=2, unit='CPUs', host_cells=(0,))


def test_a_refusal_is_false():
    assert not model.Refusal.of(REASON)


def test_a_placement_is_true_also_without_cells():
    assert model.Placement(model.Guest(1, 1))


def test_reasons_are_computed_once_and_only_when_asked_for():
    calls = []
    refusal = model.Refusal(lambda: calls.append('computed') or (REASON,))
    assert not calls
    assert (REASON,) == refusal.reasons == refusal.reasons
    assert calls == ['computed']


def test_its_text_names_the_codes():
    assert repr(model.Refusal.of(REASON, REASON)) == 'Refusal(cpus.dedicated.free, cpus.dedicated.free)'
