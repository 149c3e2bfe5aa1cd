# SPDX-License-Identifier: Apache-2.0
"""Nova's resource tracker counts with numaplace what it counts without, or differs as the documentation says."""

import logging

import pytest

from numaplace.tests import differences
from numaplace.tests.nova import seeds, tracker_cases

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

#: The page that lists the differences.
LIMITS = differences.PAGE.with_name('nova-limits.rst')

#: What Nova raises where a guest cannot be claimed or counted.
ERRORS = {
    'ComputeResourcesUnavailable',
    'CPUPinningInvalid',
    'CPUPinningUnknown',
    'CPUUnpinningInvalid',
    'CPUUnpinningUnknown',
}


@pytest.fixture(scope='module')
def sides(theirs, request):
    """Both sides; importing them needs Nova."""
    from numaplace.tests.nova.tracker_sides import Functions, Sides  # noqa: PLC0415

    own = Functions.found()
    request.getfixturevalue('nova')
    return Sides(own, Functions.found())


@pytest.fixture
def faults(sides, caplog):
    """The log lines of what numaplace could not count, and Nova counted instead."""
    from numaplace.nova import faults as module  # noqa: PLC0415

    module._warn_once.cache_clear()
    caplog.set_level(logging.WARNING, 'numaplace')
    return lambda: [record.getMessage() for record in caplog.records if record.name == module.__name__]


@pytest.mark.parametrize('share', range(seeds.SHARES))
def test_a_node_counts_what_it_counts_without_numaplace(sides, tally, faults, share):
    """Claims, audits, frees and moves of guests on a node whose configuration changes; numaplace reads every guest."""
    unknown = []
    for seed in seeds.share(share, seeds.TRACKED):
        outcome = sides.compare(tracker_cases.draw(seed))
        tally['tracker: cases'] += 1
        tally.update(f'tracker: {step}, {error or "counted"}' for step, error in outcome.steps)
        tally.update(f'tracker, differences: {finding.cause}' for finding in outcome.findings)
        unknown += [(seed, finding.text) for finding in outcome.findings if finding.cause is None]
        assert set() == {error for _step, error in outcome.steps if error} - ERRORS
    assert [] == unknown[:3]
    assert [] == faults()


def test_a_usage_that_counts_nothing_is_found_out(sides, monkeypatch):
    from numaplace.nova import replacements  # noqa: PLC0415

    monkeypatch.setattr(replacements, 'numa_usage_from_instance_numa', lambda host, _guest, _free=False: host)
    findings = [finding for seed in range(5) for finding in sides.compare(tracker_cases.draw(seed)).findings]
    assert None in [finding.cause for finding in findings]


@pytest.mark.skipif(not LIMITS.is_file(), reason='there is no source tree beside the package')
def test_each_cause_of_a_difference_is_on_the_page_of_the_limits(sides):
    from numaplace.tests.nova.tracker_sides import CAUSES  # noqa: PLC0415

    text = LIMITS.read_text('utf-8')
    assert [] == [cause for cause in CAUSES if f'   * - {cause}\n' not in text]


# --- every version of a guest's cells -------------------------------------------------------

CELLS = [{'id': 0, 'cores': [[core, core + 8] for core in range(8)], 'memory': 8192}]
PAGES = [{'size': 4, 'total': 1572864, 'reserved': 0}, {'size': 2048, 'total': 1024, 'reserved': 3}]
DEDICATED = [*range(1, 8), *range(9, 16)]
CONFIG = {'shared': [0, 8], 'dedicated': DEDICATED, 'pages': {'0': PAGES}, 'gone': [], 'lone': []}

#: Guests that can be on the node together.
GUESTS = [
    {'cells': [{'shared': [0, 1]}]},
    {'policy': 'shared', 'cells': [{'shared': [0, 1]}]},
    {'pagesize': 2048, 'cells': [{'shared': [0]}, {'shared': [1]}]},
    {'policy': 'dedicated', 'cells': [{'dedicated': [0, 1], 'pins': {'0': 1, '1': 10}}]},
    {'policy': 'dedicated', 'cells': [{'dedicated': [0, 1], 'pins': {'0': 9}}]},
    {'policy': 'dedicated', 'threads': 'isolate', 'cells': [{'dedicated': [0], 'pins': {'0': 3}}]},
    {'policy': 'dedicated', 'threads': 'require', 'cells': [{'dedicated': [0, 1], 'pins': {'0': 4, '1': 12}}]},
    {'policy': 'dedicated', 'emulator': 'isolate', 'cells': [{'dedicated': [0], 'pins': {'0': 5}, 'reserved': [13]}]},
    {'policy': 'mixed', 'cells': [{'shared': [0], 'dedicated': [1], 'pins': {'1': 6}}]},
]


def _guest(version, form):
    filled = {'host_cell': 0, 'shared': [], 'dedicated': [], 'pins': None, 'reserved': None, 'memory': 256}
    defaults = {'version': version, 'policy': None, 'threads': None, 'emulator': None, 'pagesize': None}
    return defaults | form | {'cells': [filled | cell for cell in form['cells']]}


def _move_away(number):
    """Return the confirmed move of a guest to elsewhere; in the first, the node counts it in the row of the move."""
    move = {'do': 'move', 'kind': 'migration', 'way': 'out', 'guest': number, 'finish': True, 'end': 'confirm'}
    return move | {'audits': [False, number == 0], 'flavor': _flavor()}


def _flavor(**specs):
    return {'vcpus': 1, 'memory': 256, 'specs': specs, 'limits': None}


@pytest.mark.parametrize('version', [None, *(f'1.{minor}' for minor in range(7))])
def test_guests_of_every_version_are_counted(sides, faults, version):
    """In the rows of guests, which Nova upgrades from 1.4 on, and in those of moves, which it leaves as they are."""
    forms = [form for form in GUESTS if version != '1.2' or 'pins' not in form['cells'][0]]  # for those, see below
    moves = [_move_away(number) for number in (0, 3, 5, 8) if number < len(forms)]
    steps = [{'do': 'restart', 'config': CONFIG}, *moves, {'do': 'audit'}]
    outcome = sides.compare({'cells': CELLS, 'guests': [_guest(version, form) for form in forms], 'steps': steps})
    assert [] == outcome.findings
    assert [(step['do'], None) for step in steps] == outcome.steps
    assert [] == faults()


def test_the_pins_of_a_guest_that_is_older_than_cpu_policies_are_given_to_no_other(sides):
    """Nova places the second guest on CPUs of the first."""
    pins = {str(vcpu): cpu for vcpu, cpu in enumerate(DEDICATED)}
    first = _guest('1.2', {'cells': [{'dedicated': [*range(len(pins))], 'pins': pins}]})
    claim = {'do': 'claim', 'flavor': _flavor(**{'hw:numa_nodes': '1', 'hw:cpu_policy': 'dedicated'})}
    case = {'cells': CELLS, 'guests': [first], 'steps': [{'do': 'restart', 'config': CONFIG}, claim]}
    ours, theirs = ([record.error for record in records] for records in sides.live(case))
    assert ([None, 'ComputeResourcesUnavailable'], [None, None]) == (ours, theirs)
