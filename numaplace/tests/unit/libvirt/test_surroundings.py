# SPDX-License-Identifier: Apache-2.0
"""What capabilities tell of caches, dies, clusters and the ways to memory, and faults in it."""

import pytest

from numaplace import exception
from numaplace.libvirt import capabilities
from numaplace.model import Cache, MemoryAccess


def _document(cpus="<cpu id='0' siblings='0'/>", beside='', cache=''):
    return (
        f"<capabilities><host><topology><cells><cell id='0'><memory>4096</memory><cpus>{cpus}</cpus></cell></cells>"
        f'{beside}</topology><cache>{cache}</cache></host></capabilities>'
    ).encode()


def _shape(**parts):
    return capabilities.read(_document(**parts), place='x.xml').cells[0].shape


def _cpus(*places):
    names = ('socket_id', 'die_id', 'cluster_id')
    return ''.join(
        f"<cpu id='{number}' siblings='{number}' "
        + ' '.join(f"{name}='{value}'" for name, value in zip(names, place, strict=False))
        + '/>'
        for number, place in enumerate(places)
    )


@pytest.mark.parametrize(
    ('places', 'dies', 'clusters'),
    [
        ([(0, 0), (0, 0)], (), ()),
        ([(0, 0), (1, 0)], (), ()),
        ([(0, 0), (0, 1)], (0b01, 0b10), ()),
        ([(0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 1)], (), (0b0011, 0b1100)),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)], (0b0011, 0b1100), ()),
        ([(0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 0)], (0b0111, 0b1000), (0b0011,)),
        ([(), ()], (), ()),
    ],
)
def test_dies_and_clusters_are_told_where_they_divide_what_is_around_them(places, dies, clusters):
    shape = _shape(cpus=_cpus(*places))
    assert (shape.dies, shape.clusters) == (dies, clusters)


def test_caches_are_those_of_level_3_and_above_that_hold_data():
    cache = (
        "<bank id='9' level='4' type='both' size='1' unit='GiB' cpus='0-7'/>"
        "<bank id='0' level='3' type='both' size='1536' cpus='0,8'><control granularity='768'/></bank>"
        "<bank id='1' level='3' type='both' size='16' unit='MiB' cpus='1'/>"
        "<bank id='0' level='3' type='code' size='16' unit='MiB' cpus='0'/>"
        "<bank id='0' level='2' type='both' size='1' unit='MiB' cpus='0'/>"
    )
    assert _shape(cache=cache).caches == (Cache(3, 1536, 0x101), Cache(4, 1048576, 0xFF))


def test_an_access_is_read_and_write_and_memory_side_caches_are_left_out():
    beside = (
        "<interconnects><!-- HMAT --><latency initiator='3' target='0' type='access' value='5'/>"
        "<latency initiator='3' target='0' cache='1' type='access' value='2'/>"
        "<bandwidth initiator='3' target='0' cache='0' type='read' value='2' unit='GiB'/>"
        "<bandwidth initiator='0' target='0' type='write' value='204800' unit='KiB'/></interconnects>"
    )
    assert _shape(beside=beside).accesses == (
        MemoryAccess(0, write_bandwidth_mib_s=200),
        MemoryAccess(3, 5, 5, 2048),
    )


def _ways(attributes):
    return {'beside': f'<interconnects><latency {attributes}/></interconnects>'}


_BAD = {
    'a die that is not a number': ({'cpus': _cpus((0, 'x'))}, "cpu/@die_id: 'x' is not a die number"),
    'a cluster that is not a number': ({'cpus': _cpus((0, 0, -2))}, "cpu/@cluster_id: '-2' is not a cluster number"),
    'a bank without level': ({'cache': "<bank size='1'/>"}, 'bank/@level: the cache level is missing'),
    'a bank without size': ({'cache': "<bank level='3'/>"}, 'bank/@size: the cache size is missing'),
    'CPUs of a bank': ({'cache': "<bank level='3' size='1' cpus='all'/>"}, "bank/@cpus: invalid CPU list .*'all'"),
    'a way from nowhere': (_ways("target='0' type='read' value='1'"), 'latency/@initiator: the cell number is missing'),
    'a way to nowhere': (_ways("initiator='0' target='1' type='read' value='1'"), '@target: there is no cell 1'),
    'a way of no kind': (_ways("initiator='0' target='0' type='x' value='1'"), "@type: 'x' is not a type of access"),
    'a latency that is none': (
        _ways("initiator='0' target='0' type='read' value='slow'"),
        "@value: 'slow' is not a latency",
    ),
    'a bandwidth in no unit': (
        {'beside': "<interconnects><bandwidth initiator='0' target='0' type='read' unit='x'/></interconnects>"},
        "bandwidth/@unit: 'x' is not a unit",
    ),
}


@pytest.mark.parametrize('name', _BAD)
def test_what_cannot_be_used_is_refused_in_one_line_that_says_where(name):
    parts, expected = _BAD[name]
    with pytest.raises(exception.InvalidCapabilities, match=f'x.xml: line 1, .*{expected}') as caught:
        _shape(**parts)
    assert '\n' not in str(caught.value)
