# SPDX-License-Identifier: Apache-2.0
"""``fleet mix``: the line that it prints is the one that the scheduler reads."""

from numaplace import conf


def test_the_mix_of_a_fleet_is_what_the_option_takes(numaplace, tmp_path):
    numaplace(f'host import one --capabilities {numaplace.fixture("seed3")}')
    numaplace('flavor create --ram 512 --vcpus 1 floating')
    numaplace('flavor create --ram 512 --vcpus 1 --property hw:cpu_policy=dedicated small')
    wide = '--property hw:cpu_policy=dedicated --property hw:numa_nodes=2'
    numaplace(f'flavor create --ram 1024 --vcpus 4 {wide} wide')
    for name, flavor in (('a', 'small'), ('b', 'small'), ('c', 'wide'), ('d', 'floating')):
        numaplace(f'server create --flavor {flavor} --host one {name}')
    rows = numaplace.json('fleet mix')
    assert [[1, 1, 512, 2, 0.3333], [2, 2, 512, 1, 0.6667]] == [list(row.values()) for row in rows]
    _table, _, line = numaplace('fleet mix').partition('\n\n')
    assert '[numaplace]\npreserve_mix = 1x1x512:2,2x2x512:1\n' == line
    (written := tmp_path / 'mix.conf').write_text(line, 'utf-8')
    assert ((1, 1, 512, 2), (2, 2, 512, 1)) == conf.preserve_mix(conf.load([str(written)]))
