# SPDX-License-Identifier: Apache-2.0
"""With ``[numaplace] audit = continue`` Nova's resource tracker counts all guests beside one that cannot be counted."""

import logging

import pytest

from numaplace import cpuset
from numaplace.tests.nova import seeds, tracker_cases

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

#: What ends an audit of Nova's.
ENDS = {'CPUPinningInvalid', 'CPUPinningUnknown'}


@pytest.fixture(scope='module')
def sides(theirs, request):
    """A node whose audit continues, and one whose audit ends, both with numaplace."""
    from nova.compute import resource_tracker  # noqa: PLC0415

    from numaplace import conf  # noqa: PLC0415
    from numaplace.nova import engine  # noqa: PLC0415
    from numaplace.tests.nova.tracker_sides import Functions, Sides  # noqa: PLC0415

    nova = request.getfixturevalue('nova')
    ending = Functions.found()
    conf.audit(nova.conf.CONF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource_tracker.ResourceTracker, '_get_traits', resource_tracker.ResourceTracker._get_traits)
        nova.conf.CONF.set_override('audit', 'continue', group='numaplace')
        engine.install_compute('enforce')
        nova.conf.CONF.clear_override('audit', group='numaplace')
        continuing = Functions.found()
        ending.put()
        yield Sides(ending, continuing)


@pytest.fixture
def findings(caplog):
    """Return the new lines of the audit as pairs of instance and text."""
    caplog.set_level(logging.WARNING, 'numaplace.nova.audit')

    def new():
        records = [record for record in caplog.records if record.name == 'numaplace.nova.audit']
        found = [(record.instance_uuid[-1], record.getMessage().partition(';')[0]) for record in records]
        caplog.clear()
        return found

    return new


# --- cases of a node of two cells with 8 CPUs each -----------------------------------------

CELLS = [
    {'id': cell, 'cores': [[first, first + 1] for first in range(8 * cell, 8 * cell + 8, 2)], 'memory': 8192}
    for cell in range(2)
]
PAGES = {str(cell): [{'size': 4, 'total': 2097152, 'reserved': 0}] for cell in range(2)}


def _config(shared='0,8', dedicated='1-7,9-15', gone=()):
    shared, dedicated = ([*cpuset.ids(cpuset.parse(spec))] for spec in (shared, dedicated))
    return {'shared': shared, 'dedicated': dedicated, 'pages': PAGES, 'gone': [*gone], 'lone': []}


def _guest(*cpus, cell=0):
    """Return a guest that is pinned, or without CPUs one that floats with one vCPU."""
    defaults = {'version': '1.6', 'policy': 'dedicated' if cpus else None, 'threads': None, 'emulator': None}
    one = {
        'host_cell': cell,
        'shared': [] if cpus else [0],
        'dedicated': [*range(len(cpus))],
        'pins': {str(vcpu): cpu for vcpu, cpu in enumerate(cpus)} or None,
        'reserved': None,
        'memory': 256,
    }
    return defaults | {'pagesize': None, 'cells': [one]}


def _flavor(vcpus, policy='dedicated'):
    return {'vcpus': vcpus, 'memory': 256, 'specs': {'hw:cpu_policy': policy, 'hw:numa_nodes': '1'}, 'limits': None}


def _restart(**config):
    return {'do': 'restart', 'config': _config(**config)}


def _claim(vcpus=1):
    return {'do': 'claim', 'flavor': _flavor(vcpus)}


def _free(guest):
    return {'do': 'free', 'guest': guest}


AUDIT = {'do': 'audit'}


def _live(sides, guests, *steps):
    """Return what is seen on both nodes, by step."""
    return sides.live({'cells': CELLS, 'guests': guests, 'steps': [*steps]})


def _pinned(usage):
    """Return the pinned CPUs of a node, by cell."""
    return {
        cell['nova_object.data']['id']: cpuset.text(cpuset.mask(cell['nova_object.data']['pinned_cpus']))
        for cell in usage['nova_object.data']['cells']
    }


def _floating(usage):
    return sum(cell['nova_object.data']['cpu_usage'] for cell in usage['nova_object.data']['cells'])


# name: guests, configuration of the node, error of Nova's audit, pinned CPUs, findings
CAUSES = {
    'two guests on a CPU': (
        [_guest(1, 2), _guest(2, 3)],
        {},
        'CPUPinningInvalid',
        {0: '1-3', 1: ''},
        [('2', 'cpus.twice: CPUs 2 are pinned for this server and for 00000000-0000-0000-0000-000000000001')],
    ),
    'a CPU that is shared now': (
        [_guest(1), _guest(2, 3)],
        {'shared': '0,3,8', 'dedicated': '1,2,4-7,9-15'},
        'CPUPinningUnknown',
        {0: '1-3', 1: ''},
        [('2', 'cpus.outside: CPUs 3 are pinned but are not among the dedicated CPUs 1-2,4-7')],
    ),
    'a CPU that is in no set now': (
        [_guest(1), _guest(2, 3)],
        {'dedicated': '1,2,4-7,9-15'},
        'CPUPinningUnknown',
        {0: '1-3', 1: ''},
        [
            (
                '2',
                'cpus.missing: CPUs 3 are pinned but the host does not offer them: '
                'they are offline or in neither CPU set',
            )
        ],
    ),
    'a CPU of another host cell': (
        [_guest(1), _guest(2, 9)],
        {},
        'CPUPinningUnknown',
        {0: '1-2', 1: '9'},
        [
            (
                '2',
                'cpus.node: CPUs 9 are pinned but belong to other host cells than cell 0, which has the memory',
            )
        ],
    ),
    'a host cell that is gone': (
        [_guest(1), _guest(2, cell=7)],
        {},
        None,  # Nova counts the guest nowhere
        {0: '1-2', 1: ''},
        [('2', 'server.cell: a guest cell is on host cell 7, which the host does not have')],
    ),
}


@pytest.mark.parametrize('cause', CAUSES)
def test_a_guest_that_cannot_be_counted_holds_its_cpus_and_all_others_are_counted(sides, findings, cause):
    guests, config, error, pinned, expected = CAUSES[cause]
    steps = _restart(**config), AUDIT, AUDIT
    going_on, ending = _live(sides, [*guests, _guest(), _guest(15, cell=1)], *steps)
    assert [error] * 3 == [record.error for record in ending]
    assert [None] * 3 == [record.error for record in going_on]
    pinned = {**pinned, 1: ','.join(filter(None, (pinned[1], '15')))}
    assert [(pinned, 1)] * 3 == [(_pinned(record.node), _floating(record.node)) for record in going_on]
    assert expected == findings()


def test_what_cannot_be_read_is_left_out_and_named(sides, findings):
    """Neither numaplace nor Nova can count CPU -1, which is no CPU to hold."""
    going_on, ending = _live(sides, [_guest(1), _guest(-1), _guest()], _restart(), AUDIT)
    assert ['CPUPinningUnknown'] * 2 == [record.error for record in ending]
    assert [(None, {0: '1', 1: ''}, 1)] * 2 == [
        (record.error, _pinned(record.node), _floating(record.node)) for record in going_on
    ]
    ((guest, text),) = findings()
    assert ('2', True) == (guest, text.startswith('row.unreadable: the NUMA topology of the server cannot be read: '))


def test_a_finding_is_logged_again_when_it_is_back(sides, findings):
    steps = _restart(), _free(1), AUDIT
    _live(sides, [_guest(1), _guest(1)], *steps)
    assert ['2'] == [guest for guest, _text in findings()]
    # A tracker that is new knows no findings.
    _live(sides, [_guest(1), _guest(1)], *steps, _restart())
    assert ['2'] == [guest for guest, _text in findings()]


@pytest.mark.parametrize('freed', [0, 1])
def test_a_cpu_of_two_guests_is_given_to_no_other_while_one_of_them_is_there(sides, freed):
    """The host has CPU 3 free; CPU 1 is free only when both are gone and an audit has counted."""
    steps = _restart(dedicated='1-3'), _free(freed), _claim(), _claim(), AUDIT, _claim(), _free(1 - freed), _claim()
    records, _ending = _live(sides, [_guest(1, 2), _guest(1, 2)], *steps)
    refused = 'ComputeResourcesUnavailable'
    assert [None, None, None, refused, None, refused, None, None] == [record.error for record in records]
    assert ['1-2', '1-2', '1-3', '1-3', '1-3', '1-3', '3', '1,3'] == [_pinned(record.usage)[0] for record in records]


def test_a_guest_outside_the_set_can_be_freed(sides):
    records, _ending = _live(sides, [_guest(2, 3)], _restart(dedicated='1,2,4-7'), _free(0), AUDIT)
    assert [(None, '2-3'), (None, '2-3'), (None, '')] == [
        (record.error, _pinned(record.usage)[0]) for record in records
    ]


def test_a_claim_of_a_cpu_that_is_held_is_refused(sides, monkeypatch):
    """The audit counts tolerantly, and nothing else does."""
    from nova import objects  # noqa: PLC0415

    pinned = {'id': 0, 'cpuset': set(), 'pcpuset': {0}, 'memory': 256, 'pagesize': None, 'cpu_policy': 'dedicated'}
    answer = objects.InstanceNUMATopology(cells=[objects.InstanceNUMACell(**pinned, cpu_pinning_raw={'0': 3})])
    monkeypatch.setattr(sides, '_ours', sides._ours._replace(fit=lambda *_asked, **_more: answer.obj_clone()))
    records, _ending = _live(sides, [_guest(2, 3)], _restart(dedicated='1,2,4-7'), _claim())
    assert [None, 'CPUPinningUnknown'] == [record.error for record in records]
    records, _ending = _live(sides, [_guest(2, 3), _guest(3)], _restart(), _claim())
    assert [None, 'CPUPinningInvalid'] == [record.error for record in records]


# --- a resize on the same host ---------------------------------------------------------------


def _resize(flavor, *, finish=False, end=None, audits=(True, False)):
    kinds = {'do': 'move', 'kind': 'resize', 'way': 'here', 'guest': 0, 'incoming': None}
    return kinds | {'flavor': flavor, 'finish': finish, 'end': end, 'audits': [*audits]}


FLAVORS = {
    'to other CPUs': _flavor(2),
    'to shared CPUs': _flavor(1, 'shared'),
    'to no NUMA topology': {'vcpus': 2, 'memory': 256, 'specs': {}, 'limits': None},
}


@pytest.mark.parametrize('flavor', FLAVORS)
@pytest.mark.parametrize('finish', [False, True])
def test_an_audit_during_a_resize_on_the_same_host_gives_the_old_cpus_to_no_other(sides, findings, flavor, finish):
    """Nova's audit before the end of the resize counts the new topology twice, and the old one not at all."""
    steps = _restart(dedicated='1-4'), _resize(FLAVORS[flavor], finish=finish, audits=(True, finish)), AUDIT
    records, _ending = _live(sides, [_guest(1, 2)], *steps, _claim(), _claim(), _claim())
    held = '1-4' if flavor == 'to other CPUs' else '1-2'
    assert ['1-2', held, held] == [_pinned(record.usage)[0] for record in records[:3]]
    assert [None, None, None] == [record.error for record in records[:3]]
    fits = 0 if flavor == 'to other CPUs' else 2
    errors = [None] * fits + ['ComputeResourcesUnavailable'] * (3 - fits)
    assert errors == [record.error for record in records[3:]]
    assert [] == findings()


@pytest.mark.parametrize(
    ('finish', 'end', 'held'), [(True, 'confirm', '3-4'), (True, 'revert', '1-2'), (False, 'revert', '1-2')]
)
def test_a_resize_on_the_same_host_ends_with_what_the_guest_has(sides, finish, end, held):
    resize = _resize(_flavor(2), finish=finish, end=end)
    records, _ending = _live(sides, [_guest(1, 2)], _restart(dedicated='1-4'), resize)
    assert [(None, '1-2'), (None, held)] == [(record.error, _pinned(record.usage)[0]) for record in records]


# --- where all guests can be counted ----------------------------------------------------------


def _is_unfinished_resize(step):
    return step['do'] == 'move' and step['way'] == 'here' and step['audits'][0]


@pytest.mark.parametrize('share', range(seeds.SHARES))
def test_nothing_changes_where_all_guests_can_be_counted(sides, tally, share):
    """Claims, audits, frees and moves, until an audit of Nova's ends or counts one side of a resize twice."""
    unknown = []
    for seed in seeds.share(share, seeds.TRACKED // 4):
        case = tracker_cases.draw(seed)
        for step, going_on, ending in zip(case['steps'], *sides.live(case), strict=True):
            if going_on != ending:
                known = going_on.error not in ENDS and (ending.error in ENDS or _is_unfinished_resize(step))
                unknown += [] if known else [(seed, step['do'], going_on, ending)]
                tally[f'tracker, audit = continue: {step["do"]}, {ending.error or "the other side of a resize"}'] += 1
                break
            tally['tracker, audit = continue: equal steps'] += 1
    assert [] == unknown[:3]
