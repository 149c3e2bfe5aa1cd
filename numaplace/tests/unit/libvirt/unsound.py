# SPDX-License-Identifier: Apache-2.0
"""Domains with something in them that libvirt takes without a word, and should not."""

from dataclasses import dataclass

from numaplace.model import Host
from numaplace.tests.unit.libvirt.samples import SAMPLES

__all__ = ['UNSOUND', 'Unsound']

_MODULE = """  <maxMemory slots='4' unit='KiB'>4194304</maxMemory>
  <memory"""
_WITH_MODULE = """  <memory model='dimm'>
      <source>
        <nodemask>9</nodemask>
      </source>
      <target>
        <size unit='KiB'>131072</size>
        <node>1</node>
      </target>
    </memory>
  </devices>"""


@dataclass(frozen=True)
class Unsound:
    """A sample with other words in places.

    :param told: what is told of it: the place in it, and what is wrong there
    """

    sample: str
    words: tuple[tuple[str, str], ...]
    told: str

    @property
    def host(self) -> Host:
        """The host that it is for."""
        return SAMPLES[self.sample].host

    def xml(self) -> str:
        """Write it."""
        text = SAMPLES[self.sample].xml()
        for before, after in self.words:
            assert before in text, before
            text = text.replace(before, after, 1)
        return text


def _one(sample: str, before: str, after: str, told: str) -> Unsound:
    return Unsound(sample, ((before, after),), told)


UNSOUND = {
    'a pin of a vCPU that is missing': _one(
        'two cells',
        "vcpupin vcpu='3'",
        "vcpupin vcpu='9'",
        '/cputune/vcpupin[4]/@vcpu: there is no vCPU 9: expected of 0-3',
    ),
    'cache for a vCPU that is missing': _one(
        'two cells',
        '</cputune>',
        "<cachetune vcpus='8-9'><cache id='0' level='3' type='both' size='3' unit='MiB'/></cachetune></cputune>",
        '/cputune/cachetune/@vcpus: there is no vCPU 8-9: expected of 0-3',
    ),
    'bandwidth for a vCPU that is missing': _one(
        'two cells',
        '</cputune>',
        "<memorytune vcpus='9'><node id='0' bandwidth='60'/></memorytune></cputune>",
        '/cputune/memorytune/@vcpus: there is no vCPU 9: expected of 0-3',
    ),
    'a pin to a CPU that is missing': _one(
        'two cells',
        "vcpu='3' cpuset='4-5'",
        "vcpu='3' cpuset='4-5,99'",
        '/cputune/vcpupin[4]/@cpuset: the host has no CPU 99: expected of 0-7',
    ),
    'an emulator on CPUs that are missing': _one(
        'two cells',
        "emulatorpin cpuset='0-5'",
        "emulatorpin cpuset='0-9'",
        '/cputune/emulatorpin/@cpuset: the host has no CPU 8-9: expected of 0-7',
    ),
    'an I/O thread on a CPU that is missing': _one(
        'two cells',
        "iothread='1' cpuset='0-5'",
        "iothread='1' cpuset='8'",
        '/cputune/iothreadpin/@cpuset: the host has no CPU 8: expected of 0-7',
    ),
    'a guest that floats over CPUs that are missing': _one(
        'floating with a shared set', "cpuset='0-1,6'", "cpuset='0-1,66'", '/vcpu/@cpuset: the host has no CPU 66'
    ),
    'memory on a node that is missing': _one(
        'two cells',
        "mode='strict' nodeset='0-1'",
        "mode='strict' nodeset='0-3'",
        '/numatune/memory/@nodeset: the host has no node 3: expected of 0-2',
    ),
    'a cell on a node that is missing': _one(
        'two cells',
        "cellid='1' mode='strict' nodeset='1'",
        "cellid='1' mode='strict' nodeset='7'",
        '/numatune/memnode[2]/@nodeset: the host has no node 7: expected of 0-2',
    ),
    'a memory module on a node that is missing': Unsound(
        'two cells',
        (('  <memory', _MODULE), ('</devices>', _WITH_MODULE)),
        '/devices/memory/source/nodemask: the host has no node 9: expected of 0-2',
    ),
    'a vCPU in no cell': _one(
        'two cells', "cpus='2-3'", "cpus='2'", '/cpu/numa: vCPU 3 is in no cell: expected each in one'
    ),
    'a cell without vCPUs': Unsound(
        'two cells',
        ((" cpus='2-3'", ''), (" cpus='0-1'", " cpus='0-3'")),
        '/cpu/numa/cell[2]: the cell has no vCPUs: expected at least one, for its node has CPUs',
    ),
    'memory that is more than the cells': _one(
        'two cells',
        "<memory unit='KiB'>1048576",
        "<memory unit='KiB'>2097152",
        '/memory: 2147483648 bytes: expected the 1073741824 of all cells',
    ),
    'distances in one direction': Unsound(
        'four cells',
        (
            (
                "<sibling id='0' value='21'/>\n          <sibling id='1' value='10'/>",
                "<sibling id='1' value='10'/>",
            ),
        ),
        '/cpu/numa/cell[1]/distances/sibling[2]: cell 1 has no distance to cell 0: expected both, or none',
    ),
    'pages of a size that a node has not': _one(
        'huge pages',
        "page size='2048'",
        "page size='16384'",
        '/memoryBacking/hugepages/page/@size: node 0 of the host has no pages of 16384 KiB',
    ),
    'an emulator that is kept from a node of huge pages': _one(
        'huge pages',
        "emulatorpin cpuset='0-1,4-5'",
        "emulatorpin cpuset='0-1'",
        '/cputune/emulatorpin/@cpuset: the emulator has no CPU of node 1, whose memory is prealloc',
    ),
    'an emulator that is kept from a node whose memory is allocated at once': Unsound(
        'emulator isolate',
        (('  <vcpu ', "  <memoryBacking><allocation mode='immediate'/></memoryBacking>\n  <vcpu "),),
        '/cputune/emulatorpin/@cpuset: the emulator has no CPU of node 1, whose memory is prealloc',
    ),
}
