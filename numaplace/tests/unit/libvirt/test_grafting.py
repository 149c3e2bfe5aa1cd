# SPDX-License-Identifier: Apache-2.0
"""A domain of another tool gets what its server has, and keeps the rest."""

import pytest
from lxml import etree

from numaplace import exception
from numaplace.libvirt import grafting
from numaplace.tests.unit.libvirt.samples import SAMPLES

_FOUND = """<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>old</name>
  <uuid>c7b8ca9f-1853-43f8-abfb-60d34cff18ae</uuid>
  <metadata><x:y xmlns:x='urn:x'>kept</x:y></metadata>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <memoryBacking><source type='memfd'/><hugepages/></memoryBacking>
  <vcpu placement='static' cpuset='0-3'>2</vcpu>
  <iothreads>2</iothreads>
  <cputune><vcpupin vcpu='0' cpuset='7'/><cachetune vcpus='0'/><iothreadpin iothread='2' cpuset='7'/></cputune>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <cpu mode='host-passthrough'><feature policy='require' name='vmx'/></cpu>
  <devices><disk type='file'><source file='/srv/old.img'/></disk></devices>
  <qemu:commandline><qemu:arg value='-old'/></qemu:commandline>
</domain>
"""


def _grafted(found=_FOUND, name='two cells'):
    return etree.fromstring(grafting.graft(found.encode(), SAMPLES[name].xml(), place='the test'))


def _shape(node):
    return node.tag, dict(node.attrib), (node.text or '').strip(), [_shape(child) for child in node]


def test_what_a_server_has_is_written_and_the_rest_is_kept():
    ours, root = etree.fromstring(SAMPLES['two cells'].xml()), _grafted()
    for path in ('memory', 'vcpu', 'numatune', 'cpu/topology', 'cpu/numa', 'cputune/emulatorpin'):
        assert _shape(root.find(path)) == _shape(ours.find(path)), path
    assert [pin.attrib for pin in root.iterfind('cputune/vcpupin')] == [
        pin.attrib for pin in ours.iterfind('cputune/vcpupin')
    ]
    kept = ('metadata', 'memoryBacking/source', 'cputune/cachetune', 'cpu/feature', 'devices/disk', 'iothreads')
    assert [path for path in kept if root.find(path) is None] == []
    assert (root.get('type'), root.find('os/type').get('machine')) == ('kvm', 'pc')
    assert b'-old' in etree.tostring(root)
    assert (root.find('currentMemory'), root.find('memoryBacking/hugepages')) == (None, None)


def test_each_io_thread_of_the_domain_is_pinned_as_ours():
    emulator = _grafted().find('cputune/emulatorpin').get('cpuset')
    pins = [(pin.get('iothread'), pin.get('cpuset')) for pin in _grafted().iterfind('cputune/iothreadpin')]
    assert pins == [('1', emulator), ('2', emulator)]
    without = _FOUND.replace('<iothreads>2</iothreads>', '').replace("<iothreadpin iothread='2' cpuset='7'/>", '')
    assert _grafted(without).findall('cputune/iothreadpin') == []


def test_memory_modules_are_those_of_the_server():
    old = _FOUND.replace('<devices>', "<devices><memory model='dimm'/>")
    ours = etree.fromstring(SAMPLES['memory modules'].xml())
    found = _grafted(old, 'memory modules')
    assert [module.get('model') for module in found.iterfind('devices/memory')] == [
        module.get('model') for module in ours.iterfind('devices/memory')
    ]
    assert found.find('maxMemory').attrib == ours.find('maxMemory').attrib
    assert _grafted(old).findall('devices/memory') == []


def test_elements_stand_where_libvirt_prints_them():
    tags = [child.tag for child in _grafted(name='memory modules')]
    assert tags[:5] == ['name', 'uuid', 'metadata', 'maxMemory', 'memory']
    assert tags.index('vcpu') < tags.index('cputune') < tags.index('numatune') < tags.index('os')


def test_a_domain_without_what_is_written_gets_it():
    bare = '<domain><name>old</name><memory>1</memory><os/></domain>'
    assert [child.tag for child in _grafted(bare)] == [
        *('name', 'memory', 'vcpu', 'cputune', 'numatune', 'os', 'cpu'),
    ]


def test_what_is_no_domain_is_a_fault():
    with pytest.raises(exception.InvalidDomain, match='the test: '):
        grafting.graft(b'<pool/>', SAMPLES['two cells'].xml(), place='the test')


# --- while it runs


def _moved(found, name='two cells'):
    ours = SAMPLES[name].xml()
    return etree.fromstring(ours), etree.fromstring(grafting.move(found.encode(), ours, place='the test'))


def test_a_running_guest_gets_pins_and_nodes_and_keeps_what_it_sees():
    ours, root = _moved(_FOUND)
    assert [pin.attrib for pin in root.iterfind('cputune/vcpupin')] == [
        pin.attrib for pin in ours.iterfind('cputune/vcpupin')
    ]
    assert _shape(root.find('numatune/memory')) == _shape(ours.find('numatune/memory'))
    assert (root.find('numatune/memnode'), root.find('vcpu').get('cpuset')) == (None, None), 'it has no cells'
    was = etree.fromstring(_FOUND)
    for path in ('memory', 'currentMemory', 'memoryBacking', 'iothreads', 'cputune/cachetune', 'cpu', 'devices'):
        assert _shape(root.find(path)) == _shape(was.find(path)), path
    assert root.findtext('vcpu') == was.findtext('vcpu')


def test_cells_of_a_running_guest_are_bound_where_they_were_bound_one_by_one():
    bound = "<numatune><memnode cellid='0' mode='strict' nodeset='7'/></numatune><os>"
    ours, root = _moved(_FOUND.replace('<os>', bound))
    assert _shape(root.find('numatune')) == _shape(ours.find('numatune'))


def test_a_module_of_a_running_guest_follows_its_cell():
    module = "<memory model='dimm'><source><pagesize>4</pagesize><nodemask>7</nodemask></source></memory>"
    _, root = _moved(_FOUND.replace('<devices>', f'<devices>{module}'), 'memory modules')
    assert [child.tag for child in root.find('devices/memory/source')] == ['pagesize']


def test_a_floating_guest_that_runs_gets_the_shared_cpus_of_the_destination():
    ours, root = _moved(_FOUND, 'floating with a shared set')
    assert root.find('vcpu').get('cpuset') == ours.find('vcpu').get('cpuset') != '0-3'
    assert root.findall('cputune/vcpupin') == []


def test_the_domain_of_another_server_is_refused():
    other = _FOUND.replace('c7b8ca9f', '00000000').encode()
    told = r"the test: UUID '00000000-.*': expected c7b8.*, that of the server"
    with pytest.raises(exception.InvalidDomain, match=told):
        grafting.move(other, SAMPLES['two cells'].xml(), place='the test')
