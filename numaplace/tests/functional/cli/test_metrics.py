# SPDX-License-Identifier: Apache-2.0
"""The figures of a fleet for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families


def figures(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_hosts_and_of_what_fits(prepared):
    found = figures(prepared('metrics --hosts'))
    (host,) = prepared.json('host list')
    cpus = [value for (name, *_), value in found.items() if name == 'numaplace_cell_dedicated_cpus_free']
    assert host['CPUs Free'] == sum(cpus)
    (counted,) = prepared.json('fleet capacity --flavor m1.numa')
    assert counted['at_least'] == found['numaplace_flavor_fits', ('flavor', 'm1.numa'), ('host', '')]
    assert counted['at_least'] == found['numaplace_flavor_fits', ('flavor', 'm1.numa'), ('host', 'seed3')]
    assert 1 == found['numaplace_hosts', ('state', 'up'), ('status', 'enabled')]


def test_they_are_written_to_a_file_as_a_whole_and_names_are_escaped(prepared):
    name = 'm1."evil"\\'
    prepared('flavor create --ram 512 --disk 1 --vcpus 1', name)
    target = prepared.directory / 'numaplace.prom'
    assert '' == prepared('metrics --output', str(target))
    assert ('numaplace_flavor_fits', ('flavor', name), ('host', '')) in figures(target.read_text())
    assert ['numaplace.prom'] == [path.name for path in prepared.directory.glob('*.prom*')]


def test_a_file_that_cannot_be_written_and_an_unknown_flavor_are_one_line(refused):
    assert '--output' in refused(1, 'metrics', '--output', '/nowhere/numaplace.prom')
    assert "--flavor 'x'" in refused(1, 'metrics', '--flavor', 'x')
