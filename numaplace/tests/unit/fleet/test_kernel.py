# SPDX-License-Identifier: Apache-2.0
"""What a kernel does not keep for guests is found, and nothing on a host that is well set up."""

import pytest

from numaplace import cpuset
from numaplace.fleet import kernel
from numaplace.fleet.kernel import Kernel
from numaplace.libvirt import capabilities
from numaplace.tests import recordings

#: The codes that are found here; control groups and offline CPUs are found where they are read.
CODES = {'kernel.unisolated', 'kernel.unused', 'kernel.boot', 'kernel.pages', 'host.emulator'}
READ = {'kernel.cpuset', 'kernel.mems', 'kernel.offline'}

#: The host seed3 has CPUs 0-3 in cell 0, 4-5 in cell 1 and 6-7 in cell 2; cell 1 alone has a page of 1 GiB.
_SETS = {'shared_cpus': '0,4,6', 'dedicated_cpus': '1-3,5,7'}
_GRUB = '/etc/default/grub'
_LINE = 'quiet isolcpus=1-3,5,7 nohz_full=1-3,5,7 hugepagesz=2M hugepages=0:256,1:128,2:128'
_SOUND = {'isolated': '1-3,5,7', 'tickless': '1-3,5,7', 'line': _LINE, 'boot': _LINE}


def _check(sets=None, isolated='', tickless='', line=None, boot=None):
    masks = {name: cpuset.parse(text) for name, text in (_SETS | (sets or {})).items() if text}
    host = capabilities.read(recordings.capabilities('seed3'), **masks)
    found = kernel.check(
        'h',
        host,
        Kernel(cpuset.parse(isolated), cpuset.parse(tickless), line, () if boot is None else ((_GRUB, boot),)),
    )
    return [(finding.code, finding.cell, finding.found, finding.expected, finding.subject) for finding in found]


HEALTHY = {
    'all is isolated': _SOUND,
    'nothing is isolated': {},
    'no sets': {'sets': {'shared_cpus': '', 'dedicated_cpus': ''}, 'isolated': '1-3'},
    'one set': {'sets': {'shared_cpus': ''}, 'isolated': '1-3,5,7', 'line': 'isolcpus=1-3,5,7'},
    'the same CPUs in other words': _SOUND | {'boot': _LINE.replace('1-3,5,7', '1,2,3,5,7')},
    'the last parameter counts': _SOUND | {'boot': f'isolcpus=2 {_LINE}'},
    'flags': {'isolated': '1-3,5,7', 'line': 'isolcpus=nohz,domain,1-3,5,7', 'boot': 'isolcpus=domain,nohz,1-3,5,7'},
    'another parameter was added': _SOUND | {'boot': f'{_LINE} mitigations=off'},
    'a parameter was taken away': _SOUND | {'boot': 'quiet'},
    'the command line is not known': _SOUND | {'line': None},
    'pages on all cells': {'line': 'hugepagesz=2M hugepages=512'},
    'a page by node': {'line': 'hugepagesz=1G hugepages=1:1'},
    'pages that were not reserved by the kernel': {'line': 'quiet'},
}


@pytest.mark.parametrize('case', HEALTHY.values(), ids=HEALTHY)
def test_nothing_is_found_on_a_healthy_host(case):
    assert [] == _check(**case)


FOUND = {
    'a dedicated CPU that is not isolated': (
        _SOUND | {'isolated': '1-3,5'},
        [('kernel.unisolated', None, '7', '1-3,5', 'isolated')],
    ),
    'a dedicated CPU with a tick': (
        _SOUND | {'tickless': '1-3,7'},
        [('kernel.unisolated', None, '5', '1-3,7', 'nohz_full')],
    ),
    'an isolated CPU in no set': (
        _SOUND | {'sets': {'shared_cpus': '0,4'}, 'isolated': '1-3,5-7'},
        [
            ('kernel.unused', None, '6', '', ''),
            ('host.emulator', 2, '7', '0,4', ''),
        ],
    ),
    'isolation that waits for a reboot': (
        {'line': 'quiet', 'boot': 'quiet isolcpus=1-3,5,7'},
        [('kernel.boot', None, 'no isolcpus', 'isolcpus=1-3,5,7', _GRUB)],
    ),
    'other CPUs after a reboot': (
        _SOUND | {'boot': _LINE.replace('isolcpus=1-3,5,7', 'isolcpus=1-3,5')},
        [('kernel.boot', None, 'isolcpus=1-3,5,7', 'isolcpus=1-3,5', _GRUB)],
    ),
    'pages that wait for a reboot': (
        _SOUND | {'boot': _LINE.replace('1:128', '1:64')},
        [
            (
                'kernel.boot',
                None,
                'hugepagesz=2M hugepages=0:256,1:128,2:128',
                'hugepagesz=2M hugepages=0:256,1:64,2:128',
                _GRUB,
            )
        ],
    ),
    'all that waits for a reboot': (
        {'line': '', 'boot': 'nohz_full=1 hugepages=4 isolcpus=1'},
        [
            ('kernel.boot', None, 'no isolcpus', 'isolcpus=1', _GRUB),
            ('kernel.boot', None, 'no nohz_full', 'nohz_full=1', _GRUB),
            ('kernel.boot', None, 'no hugepages', 'hugepages=4', _GRUB),
        ],
    ),
    'pages on one cell': ({'line': 'hugepagesz=1G hugepages=1'}, [('kernel.pages', 1, '1', '', '1G')]),
    'pages of the default size on one cell': (
        {'line': 'default_hugepagesz=1G hugepages=1'},
        [('kernel.pages', 1, '1', '', '1G')],
    ),
    'a cell without a shared CPU': (
        {'sets': {'shared_cpus': '0,4'}},
        [('host.emulator', 2, '7', '0,4', '')],
    ),
}


@pytest.mark.parametrize(('case', 'expected'), FOUND.values(), ids=FOUND)
def test_what_the_kernel_does_not_keep_is_found(case, expected):
    assert expected == _check(**case)


def test_every_code_is_found_here():
    assert CODES == {code for _case, expected in FOUND.values() for code, *_rest in expected}


@pytest.mark.parametrize('line', ['isolcpus=', 'isolcpus=x', 'hugepagesz=x hugepages=', 'hugepages=-1', '=', 'a "b'])
def test_parameters_that_mean_nothing_are_no_fault(line):
    _check(line=line, boot='quiet')
    _check(line='quiet', boot=line)
