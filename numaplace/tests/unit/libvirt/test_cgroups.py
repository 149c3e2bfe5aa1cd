# SPDX-License-Identifier: Apache-2.0
"""What control groups keep from guests is told, in both versions of them."""

import pytest

from numaplace import cpuset, exception
from numaplace.fleet.findings import Finding
from numaplace.libvirt import capabilities, cgroups
from numaplace.tests import recordings


def _host(**sets):
    masks = {name: cpuset.parse(text) for name, text in sets.items()}
    return capabilities.read(recordings.capabilities('tiers'), **masks)


def _limits(tmp_path, files, **sets):
    for path, text in files.items():
        target = tmp_path / 'fs/cgroup' / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f'{text}\n')
    return list(cgroups.check('h', _host(**sets), tmp_path))


@pytest.mark.parametrize(
    'path',
    ['machine.slice/cpuset.cpus.effective', 'cpuset/machine.slice/cpuset.effective_cpus', 'cpuset.cpus.effective'],
)
def test_cpus_that_are_closed_to_guests_are_named_with_what_to_do(tmp_path, path):
    (finding,) = _limits(tmp_path, {path: '0-2,7'})
    place = f'{tmp_path}/fs/cgroup/{path}'
    assert finding == Finding('kernel.cpuset', 'h', None, None, '3-6', '0-2,7', place)
    assert finding.text == (
        f'guests may not use CPUs 3-6 of this host: {place} leaves 0-2,7 to them; a guest that is placed there does '
        'not start: leave the others out of [compute] cpu_shared_set and cpu_dedicated_set, or open them'
    )


def test_the_group_of_the_guests_decides_before_the_whole(tmp_path):
    files = {'machine.slice/cpuset.cpus.effective': '0-6', 'cpuset.cpus.effective': '0'}
    assert _limits(tmp_path, files) == []


def test_cpus_that_no_guest_is_given_are_no_matter(tmp_path):
    files = {'cpuset.cpus.effective': '0-3'}
    assert _limits(tmp_path, files, shared_cpus='0-1', dedicated_cpus='2-3') == []


def test_cells_that_are_closed_are_named_if_they_hold_memory(tmp_path):
    """Cell 2 holds none."""
    (finding,) = _limits(tmp_path, {'cpuset.mems.effective': '0,8', 'cpuset.cpus.effective': '0-7'})
    assert (finding.code, finding.found) == ('kernel.mems', '1')
    assert finding.text.startswith('guests may not use NUMA cells 1 of this host: ')
    (finding,) = _limits(tmp_path, {'cpuset.mems.effective': ''})
    assert 'leaves none to them' in finding.text


def test_without_control_groups_there_are_no_limits(tmp_path):
    assert _limits(tmp_path, {}) == []


def test_a_file_that_is_odd_is_named(tmp_path):
    with pytest.raises(exception.UnreadableTopology, match=r"cpuset\.cpus\.effective: invalid CPU list .*'all'"):
        _limits(tmp_path, {'cpuset.cpus.effective': 'all'})
