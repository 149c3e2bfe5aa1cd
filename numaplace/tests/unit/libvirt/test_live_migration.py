# SPDX-License-Identifier: Apache-2.0
"""What the destination of a live migration tells the source: the pins that the XML there has."""

from dataclasses import replace

from numaplace import fit
from numaplace.libvirt import live_migration
from numaplace.model import Guest, Host, Placement
from numaplace.tests import samples


def info(guest, host=None, **terms):
    host = host or samples.host()
    return live_migration.numa_info(fit.place(host, guest, **terms), host)['nova_object.data']


def test_pinned_vcpus_have_one_cpu_each():
    data = info(samples.guest(cells=2, vcpus=1), strategy=fit.LINEAR)
    assert {'0': [0], '1': [8]} == data['cpu_pins']
    assert {'0': [0], '1': [1]} == data['cell_pins']
    assert [0, 8] == data['emulator_pins']
    assert {'sched_vcpus', 'sched_priority'}.isdisjoint(data)


def test_other_vcpus_have_those_of_their_host_cell():
    data = info(samples.guest(vcpus=1, policy=None))
    assert {'0': list(range(8))} == data['cpu_pins']


def test_an_isolated_emulator_has_cpus_of_its_own():
    data = info(replace(samples.guest(vcpus=2), emulator_policy='isolate'))
    assert not set(data['emulator_pins']) & {cpu for cpus in data['cpu_pins'].values() for cpu in cpus}


def test_realtime_vcpus_are_named_with_their_priority():
    data = info(replace(samples.guest(vcpus=3), realtime_vcpus=0b110))
    assert ([1, 2], 1) == (data['sched_vcpus'], data['sched_priority'])


def test_a_guest_that_floats_has_no_pins():
    assert {} == info(Guest(2, 512))
    assert {} == live_migration.numa_info(Placement(Guest(2, 512)), Host())['nova_object.data']


def test_all_fields_of_a_guest_of_two_cells():
    host = samples.host()
    placement = fit.place(host, replace(samples.guest(cells=2), realtime_vcpus=0b1), strategy=fit.LINEAR)
    assert {
        'cpu_pins': {str(vcpu): [cpu] for cell in placement.cells for vcpu, cpu in cell.pins},
        'cell_pins': {'0': [0], '1': [1]},
        'emulator_pins': [1, 8, 9],
        'sched_vcpus': [0],
        'sched_priority': 1,
    } == live_migration.numa_info(placement, host)['nova_object.data']
