# SPDX-License-Identifier: Apache-2.0
"""Guests that a real libvirt started on a host of several nodes: what its kernel made of them is what the rows say."""

import collections
import json

import pytest

from numaplace import cpuset
from numaplace.tests import amount, summary
from numaplace.tests.functional.testbed import scenarios
from numaplace.tests.functional.testbed.scenarios import DELETED, FULL, PF, START, VFS

#: Words of the commands whose status says something else than whether they could be done.
_CHECK = ('server', 'check')


@pytest.fixture
def tally(record_property):
    """Counts by name, which go to the report of the run."""
    counts = collections.Counter()
    yield counts
    record_property(summary.TEST_BED, dict(counts))


def _ids(text):
    return list(cpuset.ids(cpuset.parse(text)))


def _vcpu_cpus(story, name):
    """Return the CPUs that each vCPU may run on, by the rows."""
    host, server = story.cells(FULL), story.server(name)
    if not server['cells']:
        everywhere = sorted(cpu for cell in host.values() for cpu in cell['cpus'])
        return dict.fromkeys(range(server['vcpus']), everywhere)
    return {
        vcpu: [cell['pins'][str(vcpu)]] if str(vcpu) in cell['pins'] else host[cell['host_cell']]['shared_cpus']
        for cell in server['cells']
        for vcpu in cell['vcpus']
    }


def _emulator_cpus(story, name):
    """Return the CPUs that the emulator's threads may run on, by the rows and the policy that was asked for."""
    policy = story.scenario.guests[name].properties.get('hw:emulator_threads_policy')
    if policy == 'isolate':
        return sorted(cpu for cell in story.server(name)['cells'] for cpu in cell['emulator_cpus'])
    if policy == 'share':
        return sorted(cpu for cell in story.cells(FULL).values() for cpu in cell['shared_cpus'])
    return sorted({cpu for cpus in _vcpu_cpus(story, name).values() for cpu in cpus})


def _runs(story, name):
    """Return where the kernel lets vCPUs and emulator run, and how many MiB come from where."""
    found = story.look(name)
    vcpus = [found['threads'][str(thread)]['cpus'] for _, thread in sorted(found['vcpus'].items())]
    emulator = found['threads'][min(found['threads'], key=int)]['cpus']  # the first one is the process
    memory = collections.Counter()
    for mapping in found['memory']:
        memory[mapping['policy']] += mapping['mib']
    return vcpus, emulator, dict(memory)


class Everywhere:
    """What holds on each virtual host.

    :cvar scenario: what is done there
    """

    def test_all_commands_could_be_done(self, story, tally):
        assert [] == [
            (step['words'], step['err'])
            for step in story.steps
            if step['status'] and tuple(step['words'][1:3]) != _CHECK
        ]
        tally.update({'virtual hosts booted': 1, 'guests started': len(story.scenario.guests)})

    @pytest.mark.parametrize('when', [START, FULL, DELETED])
    def test_the_rows_of_the_host_are_what_its_kernel_has(self, story, tally, when):
        cells, nodes = story.cells(when), story.nodes(when)
        assert nodes
        assert sorted(nodes) == sorted(cells)
        for number, node in nodes.items():
            cell = cells[number]
            assert _ids(node['cpus']) == cell['cpus']
            assert node['kib'] // 1024 == cell['memory_mib']
            assert node['distances'] == [cell['distances'][str(other)] for other in sorted(nodes)]
            huge = {int(size_kib): pages['total'] for size_kib, pages in node['pages'].items()}
            ordinary = (node['kib'] - sum(size_kib * total for size_kib, total in huge.items())) // 4
            assert {4: ordinary} | huge == {pages['size_kib']: pages['total'] for pages in cell['pages']}
        siblings = sorted(_ids(text) for text in story.of('nodes')[when]['siblings'])
        assert siblings == sorted(core for cell in cells.values() for core in cell['siblings'])
        tally['host cells compared'] += len(nodes)

    @pytest.mark.parametrize('when', [START, FULL, DELETED])
    def test_as_many_huge_pages_are_free_on_each_node_as_the_rows_say(self, story, when):
        for number, node in story.nodes(when).items():
            free = {pages['size_kib']: pages['free'] for pages in story.cells(when)[number]['pages']}
            assert {int(size_kib): pages['free'] for size_kib, pages in node['pages'].items()} == {
                size_kib: free[size_kib] for size_kib in free if size_kib > 4
            }

    def test_each_vcpu_may_run_where_the_rows_say(self, story, tally):
        for name in story.scenario.guests:
            found = story.look(name)
            expected = _vcpu_cpus(story, name)
            allowed = {int(vcpu): found['threads'][str(thread)]['cpus'] for vcpu, thread in found['vcpus'].items()}
            assert {vcpu: cpuset.text(cpuset.mask(cpus)) for vcpu, cpus in expected.items()} == allowed, name
            tally['threads compared'] += len(allowed)

    def test_all_other_threads_may_run_where_the_emulator_may(self, story, tally):
        """Those that have put the memory in place stay on the node that they did it for, within their group."""
        for name in story.scenario.guests:
            found, cells = story.look(name), story.server(name)['cells']
            emulator = cpuset.mask(_emulator_cpus(story, name))
            assert found['iothreads']
            for number, thread in found['threads'].items():
                if int(number) in found['vcpus'].values():
                    continue
                tally['threads compared'] += 1
                expected = emulator
                if thread['name'].startswith('TC tc-ram-node'):
                    cell = cells[int(thread['name'].removeprefix('TC tc-ram-node'))]
                    expected = cpuset.parse(story.nodes(FULL)[cell['host_cell']]['cpus'])
                    expected &= emulator if story.scenario.cgroups else -1
                assert cpuset.text(expected) == thread['cpus'], (name, thread)

    def test_control_groups_leave_each_thread_as_many_cpus(self, story, tally):
        for name in story.scenario.guests:
            found, server = story.look(name), story.server(name)
            nodes = cpuset.text(cpuset.mask(cell['host_cell'] for cell in server['cells']))
            vcpus = {thread: _vcpu_cpus(story, name)[int(vcpu)] for vcpu, thread in found['vcpus'].items()}
            for number, thread in found['threads'].items():
                if not story.scenario.cgroups:
                    assert 'group' not in thread
                    continue
                cpus = vcpus.get(int(number), _emulator_cpus(story, name)) if server['cells'] else ()
                assert {'cpus': cpuset.text(cpuset.mask(cpus)), 'mems': nodes} == thread['group'], (name, thread)
                tally['control groups compared'] += 1

    def test_the_memory_of_each_cell_comes_from_the_node_that_the_rows_say(self, story, tally):
        for name in story.scenario.guests:
            found, cells = story.look(name), story.server(name)['cells']
            if not cells:
                assert {'default'} == {one['policy'] for one in found['backends']}
                continue
            assert {f'ram-node{cell["id"]}': ('bind', [cell['host_cell']], cell['memory_mib']) for cell in cells} == {
                one['id']: (one['policy'], one['nodes'], one['mib']) for one in found['backends']
            }, name
            bound = collections.Counter()
            for cell in cells:
                bound[f'bind:{cell["host_cell"]}'] += cell['memory_mib']
            assert bound == _runs(story, name)[2], name
            tally['guest cells compared'] += len(cells)

    def test_huge_pages_are_there_and_of_the_size_that_the_rows_say(self, story, tally):
        for name in story.scenario.guests:
            cells = [cell for cell in story.server(name)['cells'] if cell['pagesize_kib']]
            mappings = {
                mapping['file'].partition('.ram-node')[2].partition('.')[0]: mapping
                for mapping in story.look(name)['memory']
                if mapping['file']
            }
            assert {
                str(cell['id']): (
                    cell['pagesize_kib'],
                    {str(cell['host_cell']): cell['memory_mib'] * 1024 // cell['pagesize_kib']},
                )
                for cell in cells
            } == {cell: (mapping['page_kib'], mapping['pages']) for cell, mapping in mappings.items()}, name
            for cell in cells:
                tally[f'huge pages of {cell["pagesize_kib"]} KiB compared'] += (
                    cell['memory_mib'] * 1024 // cell['pagesize_kib']
                )

    def test_what_was_moved_by_hand_is_named_and_nothing_else(self, story):
        name, vcpu, cpu = story.scenario.moved
        before, after = (step for step in story.steps if tuple(step['words'][1:3]) == _CHECK)
        assert (0, '[]') == (before['status'], before['out'].strip())
        (difference,) = json.loads(after['out'])
        assert {
            'Server': name,
            'Domain': story.scenario.domain(name),
            'What': f'CPUs of vCPU {vcpu}',
            'Expected': cpuset.text(cpuset.mask(_vcpu_cpus(story, name)[vcpu])),
            'Found': str(cpu),
        } == difference
        assert 1 == after['status']
        moved = story.of('look', story.scenario.domain(name))[1]
        assert str(cpu) == moved['threads'][str(moved['vcpus'][str(vcpu)])]['cpus']

    def test_all_is_free_when_the_guests_are_deleted(self, story):
        assert story.host(DELETED) == story.host(START)
        assert story.nodes(DELETED) == story.nodes(START)
        assert {cell['memory_used_mib'] for cell in story.cells(DELETED).values()} == {0}
        assert '' == story.of('virsh', 'list')[0]['out'].strip()


class TestThreeNodes(Everywhere):
    scenario = scenarios.THREE_NODES

    def test_the_guests_of_the_page_run_where_the_page_shows(self, story):
        """The page about testing NUMA in Nova's documentation: one guest cell, then two.

        The second goes to the third node, as guests without devices are kept off the one with devices, the second.
        """
        floating, one_cell, two_cells = (_runs(story, name) for name in ('cirros1', 'cirros2', 'cirros3'))
        assert (['0-7'], '0-7', {'default': 512}) == floating
        assert (['0-3'] * 4, '0-3', {'bind:0': 1024}) == one_cell
        assert (['0-3', '0-3', '6-7', '6-7'], '0-3,6-7', {'bind:0': 512, 'bind:2': 512}) == two_cells

    def test_a_virtual_function_goes_to_a_guest_on_its_node(self, story, tally):
        """The kernel made it of an emulated controller, with a node and an IOMMU; libvirt gave it to QEMU by VFIO."""
        found = {one['address']: one for one in story.host(FULL)['pci_devices']}
        assert {PF: 'type-PF', **dict.fromkeys(VFS, 'type-VF')} == {key: one['dev_type'] for key, one in found.items()}
        assert {1} == {one['numa_node'] for one in found.values()}
        assert [PF] * 2 == [found[address]['parent'] for address in VFS]
        server = story.server('disk')
        (given,) = server['devices']['pci']
        assert [given['numa_node']] == [cell['host_cell'] for cell in server['cells']]
        assert ('allocated', 'disk') == (found[given['address']]['status'], found[given['address']]['server'])
        drivers = [line.rpartition('/')[2] for line in story.of('sh')[1]['out'].split()]
        bound = {address: 'vfio-pci' if address == given['address'] else 'none' for address in VFS}
        assert {PF: 'nvme', **bound} == dict(zip((PF, *VFS), drivers, strict=True))
        tally['virtual functions given to guests'] += 1


@amount.long
class TestThreeNodesWithControlGroups(Everywhere):
    scenario = scenarios.THREE_NODES_WITH_GROUPS


class TestFourNodesWithSiblings(Everywhere):
    scenario = scenarios.FOUR_NODES

    def test_the_cpus_of_a_core_are_far_apart_in_number(self, story):
        assert sorted(f'{cpu},{cpu + 8}' for cpu in range(8)) == story.of('nodes')[START]['siblings']

    def test_threads_of_one_core_run_on_the_threads_of_one_core(self, story):
        for name in ('require', 'apart'):
            cpus = [int(text) for text in _runs(story, name)[0]]
            assert [cpu + 8 for cpu in cpus[::2]] == cpus[1::2]

    def test_nobody_else_is_pinned_to_a_core_of_a_guest_that_wants_to_be_alone(self, story):
        alone = {int(text) % 8 for text in _runs(story, 'isolate')[0]}
        others = {int(text) % 8 for name in ('require', 'apart') for text in _runs(story, name)[0]}
        assert 2 == len(alone)
        assert not alone & others


@amount.long
class TestEightNodes(Everywhere):
    scenario = scenarios.EIGHT_NODES
