# SPDX-License-Identifier: Apache-2.0
"""Siblings by the numbers of CPUs alone: what is proved, what is assumed and told, and what is asked for."""

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import lscpu, numactl


def _summary(nodes, threads, cores, sockets, extra=''):
    online = ','.join(nodes)
    return (
        f'CPU(s): {threads * cores * sockets}\nOn-line CPU(s) list: {online}\nThread(s) per core: {threads}\n'
        f'Core(s) per socket: {cores}\nSocket(s): {sockets}\n{extra}'
    )


def _read(nodes, text, siblings=None):
    lines = [
        line
        for node, cpus in enumerate(nodes)
        for line in (
            f'node {node} cpus: {" ".join(map(str, cpuset.ids(cpuset.parse(cpus))))}',
            f'node {node} size: 9 MB',
        )
    ]
    cpus = lscpu.read(text.encode(), 'cpus.txt')
    return numactl.read('\n'.join(lines).encode(), cpus, place='nodes.txt', origin='cpus.txt', siblings=siblings)


def _first(machine):
    return cpuset.text(machine.host.cells[0].shape.siblings[0])


_KVM = 'Hypervisor vendor: KVM\nVirtualization type: full\n'
_ASSUMED_QEMU = 'they are taken to be numbered as QEMU does, because the hypervisor is KVM'
_ASSUMED_FIRMWARE = 'they are taken to be numbered as firmware does where a node has 2 runs of CPUs'

#: Nodes, threads, cores and sockets, more of the summary, the first core, and what was assumed.
_TOLD = {
    'a guest of KVM with the nodes of its host': (('0-1,4-5', '2-3,6-7'), (2, 2, 2), _KVM, '0-1', _ASSUMED_QEMU),
    'a guest of KVM with nodes of one run': (('0-3', '4-7'), (2, 2, 2), _KVM, '0-1', _ASSUMED_QEMU),
    'a guest of KVM with four threads': (('0-7',), (4, 2, 1), _KVM, '0-3', _ASSUMED_QEMU),
    'a guest that names QEMU': (('0-3',), (2, 2, 1), f'BIOS Vendor ID: Red Hat\n{_KVM}', '0-1', _ASSUMED_QEMU),
    'a guest whose cores adjacent threads would split': (('0-2,6-8', '3-5,9-11'), (2, 3, 2), _KVM, '0,6', ''),
    'a machine whose cores adjacent threads would split': (('0-2,6-8', '3-5,9-11'), (2, 3, 2), '', '0,6', ''),
    'a machine with two runs in each node': (('0-1,4-5', '2-3,6-7'), (2, 2, 2), '', '0,4', _ASSUMED_FIRMWARE),
    'nodes of one core': (('0-1', '2-3'), (2, 1, 2), 'Hypervisor vendor: VMware\n', '0-1', ''),
    'single threads': (('0-3',), (1, 4, 1), 'Hypervisor vendor: Xen\n', '0', ''),
}


@pytest.mark.parametrize('name', _TOLD)
def test_siblings_that_follow_from_the_numbers_and_what_is_assumed_for_them(name):
    nodes, counts, extra, first, assumed = _TOLD[name]
    machine = _read(nodes, _summary(nodes, *counts, extra))
    assert _first(machine) == first
    assert len(machine.warnings) == bool(assumed)
    assert assumed in ''.join(machine.warnings)


_ASKED = {
    'a machine of one node': (('0-7',), (2, 4, 1), ''),
    'a machine with nodes of one run': (('0-3', '4-7'), (2, 2, 2), ''),
    'a guest of another hypervisor': (('0-1,4-5', '2-3,6-7'), (2, 2, 2), 'Hypervisor vendor: Microsoft\n'),
    'a guest of one that lscpu does not know': (('0-1,4-5', '2-3,6-7'), (2, 2, 2), 'Flags: fpu hypervisor\n'),
    'a guest of QEMU that may have got CPUs later': (('0-1,4-5', '2-3,6-7'), (2, 2, 2), 'BIOS Vendor ID: QEMU\n'),
    'a guest of the KVM of a cloud': (('0-1,4-5', '2-3,6-7'), (2, 2, 2), f'BIOS Vendor ID: Some Cloud\n{_KVM}'),
    'cores of one and of two threads': (('0-5',), (2, 4, 1), _KVM),
    'kinds of CPUs': (('0-3',), (2, 1, 1), f'Thread(s) per core: 2\nCore(s) per socket: 1\nSocket(s): 1\n{_KVM}'),
    'gaps in the numbers': (('0-1,8-9', '2-3,10-11'), (2, 2, 2), _KVM),
}


@pytest.mark.parametrize('name', _ASKED)
def test_siblings_that_the_numbers_do_not_tell_are_asked_for(name):
    nodes, counts, extra = _ASKED[name]
    with pytest.raises(exception.InvalidCapabilities, match=f'CPUs {nodes[0]} of node 0') as caught:
        _read(nodes, _summary(nodes, *counts, extra))
    assert f'CPUs {nodes[0]} of node 0' in str(caught.value)
    assert 'expected the output of `lscpu -p` or `lscpu -e`, which does, or --siblings' in str(caught.value)


@pytest.mark.parametrize(('said', 'first'), [('adjacent', '0-1'), ('apart', '0,4')])
@pytest.mark.parametrize('extra', ['', _KVM, 'Hypervisor vendor: Microsoft\n'])
def test_what_the_operator_says_is_taken_without_a_warning(said, first, extra):
    nodes = ('0-1,4-5', '2-3,6-7')
    machine = _read(nodes, _summary(nodes, 2, 2, 2, extra), said)
    assert (_first(machine), machine.warnings) == (first, ())


def test_a_numbering_that_would_split_a_core_over_nodes_cannot_be_said():
    nodes = ('0-3', '4-7')
    with pytest.raises(
        exception.InvalidCapabilities, match='cannot have the numbering that --siblings names: expected'
    ):
        _read(nodes, _summary(nodes, 2, 2, 2), 'apart')


def test_no_numbering_can_be_said_beside_a_table_that_names_the_cores():
    with pytest.raises(exception.InvalidCapabilities, match='names the core of each CPU: expected no numbering'):
        _read(('0-1',), '# CPU,Core\n0,0\n1,0\n', 'adjacent')
