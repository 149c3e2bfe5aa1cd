# SPDX-License-Identifier: Apache-2.0
"""What the destination of a live migration tells the source: the pins that the XML there has."""

from dataclasses import replace

import pytest

from numaplace import cpuset, exception, fit, wire
from numaplace.libvirt import live_migration
from numaplace.model import Guest, Host
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
    assert None is wire.read_live_migrate_numa_info(live_migration.numa_info(fit.place(Host(), Guest(0, 0)), Host()))


def test_what_is_written_is_read():
    host = samples.host()
    placement = fit.place(host, replace(samples.guest(cells=2), realtime_vcpus=0b1), strategy=fit.LINEAR)
    read = wire.read_live_migrate_numa_info(live_migration.numa_info(placement, host))
    assert [(vcpu, 1 << cpu) for cell in placement.cells for vcpu, cpu in cell.pins] == list(read.cpu_pins)
    assert ((0, 0b01), (1, 0b10)) == read.cell_pins
    assert cpuset.mask([0, 1, 8, 9]) & ~1 == read.emulator_pins
    assert (0b1, 1) == (read.sched_vcpus, read.sched_priority)


@pytest.mark.parametrize('pins', [{'a': [0]}, {'0': 'x'}, {'0': [-1]}, [0]])
def test_pins_that_are_none_are_a_fault(pins):
    with pytest.raises(exception.InvalidObject, match='an object of number to CPU numbers'):
        wire.read_live_migrate_numa_info(wire.primitive('LibvirtLiveMigrateNUMAInfo', {'cpu_pins': pins}))
