# SPDX-License-Identifier: Apache-2.0
"""What is told to libvirt when vCPUs go off and on, and what takes it back."""

from dataclasses import replace

from numaplace.libvirt.live_changes import Step, steps
from numaplace.model import Offline
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import SAMPLES, Sample, cell, placed

_ALL = SAMPLES['hot-pluggable vCPUs'].xml()
_HALF = SAMPLES['half of the vCPUs off'].xml()
_OFF = (2, 3, 6, 7, 10, 11, 14, 15)


def test_the_last_goes_off_first():
    assert steps(_ALL, _HALF) == [
        Step(('setvcpu', str(vcpu), '--disable'), ('setvcpu', str(vcpu), '--enable')) for vcpu in reversed(_OFF)
    ]


def test_a_vcpu_is_pinned_before_it_is_plugged_in():
    found = [step.do for step in steps(_HALF, _ALL)]
    assert found[:2] == [('vcpupin', '2', '0-14,60-74'), ('setvcpu', '2', '--enable')]
    assert [words[1] for words in found[::2]] == [words[1] for words in found[1::2]] == [str(vcpu) for vcpu in _OFF]


def test_the_emulator_goes_with_the_vcpus_that_it_floats_over():
    host = samples.host('seed3')
    whole = Sample(host, placed(cell(0, '0-1', 64, {0: 1, 1: 3})))
    half = replace(whole, placement=placed(cell(0, '0', 64, {0: 1}), offline=(Offline(0, 0b10),)))
    expected = [
        Step(('setvcpu', '1', '--disable'), ('setvcpu', '1', '--enable')),
        Step(('emulatorpin', '1'), ('emulatorpin', '1,3')),
        Step(('iothreadpin', '1', '1'), ('iothreadpin', '1', '1,3')),
    ]
    hotplug = SAMPLES['half of the vCPUs off'].options
    assert steps(whole.xml(**hotplug), half.xml(**hotplug)) == expected
    pinned, *back = (step.do for step in steps(half.xml(**hotplug), whole.xml(**hotplug)))
    assert (pinned, back) == (('vcpupin', '1', '3'), [step.undo for step in expected])


def test_the_vcpus_of_a_floating_guest_are_pinned_nowhere():
    some = SAMPLES['floating with vCPUs off']
    guest = replace(some.placement.guest, vcpus=4, offline=())
    whole = replace(some, placement=replace(some.placement, guest=guest))
    assert [step.do for step in steps(some.xml(), whole.xml())] == [
        ('setvcpu', '2', '--enable'),
        ('setvcpu', '3', '--enable'),
    ]


def test_a_domain_that_stays_as_it_is_needs_nothing():
    assert steps(_ALL, _ALL) == []
