# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a command changes one server: a line says what that leaves, and the rows agree."""

import os
import signal
import time

import pytest

from numaplace.tests.functional.cli.stopping import Stop, run
from numaplace.tests.functional.storms import crew

_SELECT = Stop('numaplace.scheduler.select', 'select')
_SELECT_MANY = Stop('numaplace.scheduler.select', 'select_many')
_CLAIMED = Stop('numaplace.operations.domain_xml', 'check')
_DONE = Stop('numaplace.cli.server_columns', 'details')
_SHELVE = Stop('numaplace.compute.migration', 'shelve')
_RELEASE = Stop('numaplace.compute.claims', 'release')
_DROP = Stop('numaplace.compute.migration', 'drop_move_claim')

_BEFORE = "server 'db1' is as it was; nothing was claimed"
_GIVEN_BACK = "server 'db1' is as it was; what was claimed is given back"
_STAYS = "server 'db1' is changed, and stays so: it is "
_EACH = "0 of 1 servers are done and stay; 'db1' was under way, and is "

_RESIZE = 'server resize --flavor m1.large db1'
_LIVE = 'server migrate --live-migration db1'
_COLD = 'server migrate db1'
_EVACUATE = 'server evacuate db1'
_REBUILD = 'server rebuild --image other db1'


@pytest.fixture
def fleet(prepared):
    """The program with two hosts, compute1 and seed3, and the server db1 on the first."""
    prepared(f'host import compute1 --capabilities {prepared.fixture("seed3")}')
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('flavor create --ram 512 --vcpus 4 --property hw:cpu_policy=dedicated m1.large')
    prepared('server create --flavor m1.pinned --host compute1 db1')
    return prepared


def _interrupted(program, line, *stops):
    """Return what a command tells that is interrupted at each stop."""
    process = crew.start(run, program.command(*line.split())[1:], stops, program.directory)
    for number in range(len(stops)):
        until = time.monotonic() + 60
        while not (program.directory / f'reached-{number}').exists():
            assert process.is_alive(), (program.directory / 'err').read_text()
            assert time.monotonic() < until, 'it is never called'
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
    assert crew.join([process]) == [130]
    assert (program.directory / 'out').read_text() == ''
    (told,) = (program.directory / 'err').read_text().splitlines()
    return told.removeprefix('numaplace: ended early: ')


def _rows(program):
    return [program.json(line) for line in ('server list --long', 'host list', 'host show compute1', 'host show seed3')]


@pytest.mark.parametrize(
    ('line', 'stop', 'told'),
    [
        ('server create --flavor m1.pinned new', _SELECT_MANY, 'no server was created; nothing is claimed'),
        ('server create --flavor m1.pinned new', _CLAIMED, 'no server was created; all claims are given back: 1'),
        (_RESIZE, _SELECT, _BEFORE),
        (_RESIZE, _CLAIMED, _GIVEN_BACK),
        (_LIVE, _SELECT, _BEFORE),
        (_LIVE, _CLAIMED, _GIVEN_BACK),
        (_COLD, _SELECT, _BEFORE),
        (_COLD, _CLAIMED, _GIVEN_BACK),
        (_REBUILD, _CLAIMED, _BEFORE),
        ('server shelve db1', _SHELVE, f"{_EACH}ACTIVE on host 'compute1'"),
    ],
)
def test_what_is_not_done_leaves_nothing(fleet, line, stop, told):
    before = _rows(fleet)
    assert _interrupted(fleet, line, stop) == told
    assert _rows(fleet) == before
    assert fleet.json('host audit') == []


@pytest.mark.parametrize(
    ('prepare', 'line', 'stop', 'told'),
    [
        ('host set --down compute1', _EVACUATE, _SELECT, _BEFORE),
        ('host set --down compute1', _EVACUATE, _CLAIMED, _GIVEN_BACK),
        ('server shelve db1', 'server unshelve db1', _SELECT, f'{_EACH}SHELVED_OFFLOADED'),
        ('server shelve db1', 'server unshelve db1', _CLAIMED, f'{_EACH}SHELVED_OFFLOADED'),
    ],
)
def test_what_is_not_done_of_a_server_that_is_down_or_shelved_leaves_nothing(fleet, prepare, line, stop, told):
    fleet(prepare)
    test_what_is_not_done_leaves_nothing(fleet, line, stop, told)


@pytest.mark.parametrize(
    ('line', 'stop', 'told'),
    [
        (_RESIZE, _DONE, f"{_STAYS}VERIFY_RESIZE on host 'seed3'"),
        (_LIVE, _DONE, f"{_STAYS}ACTIVE on host 'seed3'"),
        (_REBUILD, _DONE, f"{_STAYS}ACTIVE on host 'compute1'"),
        ('server shelve db1', _SHELVE._replace(after=True), f'{_EACH}SHELVED_OFFLOADED'),
        ('server delete db1', _RELEASE._replace(after=True), f'{_EACH}gone'),
    ],
)
def test_what_is_done_stays(fleet, line, stop, told):
    before = _rows(fleet)
    assert _interrupted(fleet, line, stop) == told
    assert _rows(fleet) != before
    assert fleet.json('host audit') == []


def test_a_second_interrupt_keeps_both_places_and_says_so(fleet):
    told = _interrupted(fleet, _LIVE, _CLAIMED, _DROP)
    shown = fleet.json('server show db1')
    assert told == (
        f"server 'db1' is MIGRATING on host 'compute1' and holds both places; `numaplace server migration list "
        f'--server {shown["id"]}` shows the move, and `numaplace server migration abort` gives the new place back'
    )
    (move,) = fleet.json(f'server migration list --server {shown["id"]}')
    fleet(f'server migration abort db1 {move["ID"]}')
    assert [fleet.json(f'host show {host}')['vcpus_used'] for host in ('compute1', 'seed3')] == [2, 0]
