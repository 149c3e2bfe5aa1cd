# SPDX-License-Identifier: Apache-2.0
"""What may change while a guest runs, in the XML: the figures are those of the vNUMA talk."""

import re

import pytest
from lxml import etree

from numaplace import exception
from numaplace.libvirt.checking import Difference, compare
from numaplace.libvirt.profile import PROFILES
from numaplace.model import Guest, Placement
from numaplace.request import Hotplug
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import SAMPLES, Sample


def test_all_vcpus_but_the_first_can_be_pulled_out():
    root = etree.fromstring(SAMPLES['hot-pluggable vCPUs'].xml())
    (first, *others) = root.iterfind('vcpus/vcpu')
    assert dict(first.attrib) == {'id': '0', 'enabled': 'yes', 'hotpluggable': 'no'}
    assert [dict(other.attrib) for other in others] == [
        {'id': str(vcpu), 'enabled': 'yes', 'hotpluggable': 'yes'} for vcpu in range(1, 16)
    ]
    assert (root.find('vcpu').get('current'), root.findtext('vcpu')) == (None, '16')


def test_vcpus_that_are_off_stay_in_their_cells_and_are_pinned_nowhere():
    root = etree.fromstring(SAMPLES['half of the vCPUs off'].xml())
    on = ['0', '1', '4', '5', '8', '9', '12', '13']
    assert [vcpu.get('id') for vcpu in root.iterfind('vcpus/vcpu') if vcpu.get('enabled') == 'yes'] == on
    assert [pin.get('vcpu') for pin in root.iterfind('cputune/vcpupin')] == on
    assert [cell.get('cpus') for cell in root.iterfind('cpu/numa/cell')] == ['0-3', '4-7', '8-11', '12-15']
    assert (root.find('vcpu').get('current'), root.findtext('vcpu')) == ('8', '16')


def test_realtime_vcpus_keep_their_scheduler_while_they_are_off():
    """So libvirt remembers it, and gives it to the thread that a plugged vCPU gets."""
    root = etree.fromstring(SAMPLES['realtime vCPUs off'].xml())
    assert [sched.get('vcpus') for sched in root.iterfind('cputune/vcpusched')] == ['2', '3']


def test_memory_modules_have_the_form_of_the_talk():
    root = etree.fromstring(SAMPLES['memory modules'].xml())
    assert (root.find('maxMemory').get('slots'), root.findtext('maxMemory')) == ('16', str(512 * 1024**2))
    assert int(root.findtext('memory')) == (4 * 16 + 32) * 1024**2 + 524288, 'with all modules, as libvirt counts'
    assert [cell.get('memory') for cell in root.iterfind('cpu/numa/cell')] == [str(16 * 1024**2)] * 4
    text = SAMPLES['memory modules'].xml()
    assert text[text.index('    <memory model') : text.index('  </devices>')] == (
        """\
    <memory model='dimm'>
      <target>
        <size unit='KiB'>33554432</size>
        <node>0</node>
      </target>
    </memory>
    <memory model='nvdimm' access='shared'>
      <source>
        <path>/dev/dax0.0</path>
        <alignsize unit='KiB'>2048</alignsize>
        <pmem/>
      </source>
      <target>
        <size unit='KiB'>524288</size>
        <node>2</node>
        <label>
          <size unit='KiB'>128</size>
        </label>
      </target>
    </memory>
"""
    )


def test_nova_has_no_form_for_what_was_changed():
    for name in ('half of the vCPUs off', 'memory modules'):
        with pytest.raises(exception.Invalid, match=r'Nova has no place for them; expected profile newest'):
            SAMPLES[name].xml(profile=PROFILES['nova-33'])
    plain = SAMPLES['hot-pluggable vCPUs'].xml(profile=PROFILES['nova-33'])
    assert not re.search('<vcpus|maxMemory', plain)


def test_memory_cannot_be_plugged_into_a_guest_without_cells():
    sample = Sample(samples.host('seed3'), Placement(Guest(1, 64)), options={'hotplug': Hotplug(slots=1)})
    with pytest.raises(exception.Invalid, match=r'memory_slots=1: the guest has no NUMA cells .* hw:numa_nodes=1'):
        sample.xml()


@pytest.mark.parametrize(
    ('name', 'before', 'after', 'expected'),
    [
        (
            'half of the vCPUs off',
            "id='2' enabled='no'",
            "id='2' enabled='yes'",
            ('vCPUs that are on', '0-1,4-5,8-9,12-13', '0-2,4-5,8-9,12-13'),
        ),
        ('memory modules', "slots='16' unit='KiB'>536870912<", "slots='16'>1<", ('most memory in MiB', '524288', '0')),
        (
            'memory modules',
            '<node>2<',
            '<node>3<',
            (
                'memory module 1',
                'nvdimm of 512 MiB in cell 2 from /dev/dax0.0',
                'nvdimm of 512 MiB in cell 3 from /dev/dax0.0',
            ),
        ),
    ],
)
def test_a_domain_that_was_changed_by_hand_is_told(name, before, after, expected):
    xml = SAMPLES[name].xml()
    assert xml.count(before) == 1
    assert compare(xml, xml.replace(before, after), place='libvirt') == [Difference(*expected)]


def test_where_a_vcpu_ran_that_is_off_now_is_no_difference():
    xml = SAMPLES['half of the vCPUs off'].xml()
    remembered = xml.replace('<cputune>', "<cputune><vcpupin vcpu='2' cpuset='0'/>")
    assert compare(xml, remembered, place='libvirt') == []


def test_vcpus_of_a_domain_without_a_list_are_on_up_to_the_current_number():
    xml = "<domain><vcpu current='2'>4</vcpu></domain>"
    listed = "<domain><vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='3' enabled='yes'/></vcpus></domain>"
    assert compare(xml, listed, place='libvirt') == [Difference('vCPUs that are on', '0-1', '0,3')]
