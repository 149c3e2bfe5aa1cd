# SPDX-License-Identifier: Apache-2.0
"""The picture shows which CPU belongs to whom."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from numaplace import fit
from numaplace.cli import host_svg, picture
from numaplace.fleet import occupancy
from numaplace.libvirt import capabilities
from numaplace.model import ISOLATE, Guest
from numaplace.model.records import InstanceRecord
from numaplace.tests import recordings, samples

#: It holds two whole cores.
GUEST = samples.guest(vcpus=4)


def place(record, number, guest, name=None):
    """Return the record with a guest, and the guest's server."""
    placement = fit.place(record.host, guest, strategy=fit.LINEAR)
    request = samples.instance_request(guest, name or f'server{number}')
    server = InstanceRecord(
        uuid=str(number),
        name=request.name,
        number=number,
        host=record.name,
        flavor=request.flavor,
        image_properties={},
        placement=placement,
        availability_zone=None,
        vm_state='active',
        created_at=datetime.now(UTC),
    )
    return replace(record, host=record.host.consume(placement)), server


def draw(record, *guests, **names):
    servers = []
    for number, guest in enumerate(guests):
        record, server = place(record, number, guest, names.get(f'name{number}'))
        servers.append(server)
    return picture.draw(record, servers)


def test_threads_of_a_core_stand_one_below_the_other():
    lines = draw(samples.host_record(cells=1)).splitlines()
    assert ['   0 2 4 6', '   . . . .', '   1 3 5 7', '   . . . .'] == lines[2:6]


def test_pinned_cpus_bear_their_servers_letter():
    text = draw(samples.host_record(cells=1), samples.guest(vcpus=2), samples.guest(vcpus=1))
    lines = text.splitlines()
    assert ['   0 2 4 6', '   A B . .', '   1 3 5 7', '   A . . .'] == lines[2:6]
    assert '  A  server0: cell 0: 2 pinned vCPUs, 512 MiB' in lines
    assert '  B  server1: cell 0: 1 pinned vCPU, 512 MiB' in lines


def test_siblings_that_isolate_keeps_free_belong_to_the_server():
    lines = draw(samples.host_record(cells=1), samples.guest(vcpus=2, thread_policy=ISOLATE)).splitlines()
    assert ['   A A . .', '   A A . .'] == [lines[3], lines[5]]


def test_floating_vcpus_are_shown_on_the_cell_that_they_share():
    lines = draw(samples.host_record(cells=2), samples.guest(vcpus=2, policy=None)).splitlines()
    assert '   ~ ~ ~ ~' == lines[3]
    assert '  ~  shared, vCPUs float here' in lines
    assert '  ~  server0: cell 0: 2 floating vCPUs, 512 MiB' in lines


def test_a_guest_without_cells_is_in_none():
    text = draw(samples.host_record(cells=1), Guest(1, 512))
    assert '~' not in text
    assert '  *  server0: 1 vCPU, 512 MiB, floats over the whole host' in text


def test_a_shared_set_that_nobody_uses_is_not_free_to_be_pinned():
    record = samples.host_record(cells=1)
    (cell,) = record.host.cells
    split = replace(cell, shape=replace(cell.shape, shared_cpus=0b11, dedicated_cpus=0b11111100))
    lines = picture.draw(replace(record, host=replace(record.host, cells=(split,))), []).splitlines()
    assert '   - . . .' == lines[3]
    assert '  -  shared, no guest cell floats here' in lines


def test_pins_of_nobody_are_shown_as_such():
    record = samples.host_record(cells=1)
    (cell,) = record.host.cells
    text = picture.draw(replace(record, host=replace(record.host, cells=(replace(cell, pinned_cpus=1),))), [])
    assert '   ? . . .' in text
    assert 'by no server of this host' in text


def test_names_are_escaped_and_cut():
    text = draw(samples.host_record(cells=1), Guest(1, 1), Guest(1, 1), name0='a\x1b[31m', name1='x' * 255)
    assert 'a\\x1b[31m: ' in text
    assert 'x' * 37 + '...: ' in text


@pytest.mark.parametrize('name', recordings.HOSTS)
def test_every_recorded_host_fits_80_columns_and_shows_each_cpu_once(name):
    host = capabilities.read(recordings.capabilities(name))
    text = picture.draw(replace(samples.host_record(name), host=host), [])
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines() if line.startswith('  ') and line.split()[0].isdigit()]
    shown = [int(word) for row in rows for word in row]
    assert sorted(shown) == sorted(cpu for cpus in recordings.numactl(name).cpus.values() for cpu in cpus)


def test_every_symbol_has_a_class_in_the_drawing():
    assert {*occupancy.MEANINGS, occupancy.PINNED, occupancy.PINNED_OFF} == set(host_svg.CLASSES)


def test_letters_go_on_after_z():
    held = fit.place(samples.host(1), samples.guest(vcpus=1))
    named = occupancy.labels((str(number), held) for number in range(53))
    assert ['A', 'Z', 'AA', 'AZ', 'BA'] == [named[number] for number in ('0', '25', '26', '51', '52')]


def test_cpus_that_are_off_are_dark_whoever_holds_them():
    record = samples.host_record(cells=1)
    (cell,) = record.host.cells
    # Online are CPUs 0, 2 and 5; CPUs 0 to 3 are of a server, the owner of 6 is unknown.
    shape = replace(cell.shape, shared_cpus=0, online_cpus=0b100101)
    record, server = place(replace(record, host=replace(record.host, cells=(replace(cell, shape=shape),))), 0, GUEST)
    (cell,) = record.host.cells
    pinned = replace(cell, pinned_cpus=cell.pinned_cpus | 1 << 6)
    lines = picture.draw(replace(record, host=replace(record.host, cells=(pinned,))), [server]).splitlines()
    assert lines[0].startswith('cell 0: 8 CPUs (0-7), 1,3-4,6-7 off, 512 of ')
    assert ['   0 2 4 6', '   A A _ ?', '   1 3 5 7', '   a a . _'] == lines[2:6]
    assert [
        '  .  free to be pinned',
        '  _  off to save power, free to be pinned',
        '  ?  pinned, but by no server of this host',
        '  a  pinned as in upper case, but off',
    ] == lines[7:11]
