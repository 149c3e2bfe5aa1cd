# SPDX-License-Identifier: Apache-2.0
"""The figures of a Nova, of which the servers are not read one by one, are those of a file that has them all."""

from dataclasses import replace

import pytest

from numaplace.cli import main
from numaplace.model import Flavor
from numaplace.model.fleet import Inventory
from numaplace.tests.nova.databases import KINDS, Databases, healthy, scratch, url
from numaplace.tests.unit.fleet import fleets

PINNED = {'hw:cpu_policy': 'dedicated'}
FLAVORS = (
    Flavor('card', 1, 64, 0, {'pci_passthrough:alias': 'gpu:1'}, 'card'),
    Flavor('floating', 2, 256, 0, {}, 'floating'),
    Flavor('paged', 1, 64, 0, PINNED | {'hw:mem_page_size': '2MB'}, 'paged'),
    Flavor('pinned', 1, 64, 0, PINNED, 'pinned'),
    Flavor('wide', 4, 256, 0, PINNED | {'hw:numa_nodes': '2'}, 'wide'),
)
#: By placement, of each host.
OFFERED = {'VCPU': Inventory(4, 0, 16.0), 'PCPU': Inventory(14), 'MEMORY_MB': Inventory(65536)}
#: One that counts the servers of a host, too.
FILTERS = 'ComputeFilter,RamFilter,NumInstancesFilter,NUMATopologyFilter'


@pytest.fixture(params=KINDS)
def nova(request, tmp_path, capsys):
    """Databases, and a function that runs a command on them and returns what it printed."""
    with scratch(request.param, tmp_path, 4) as urls:
        databases = Databases(urls)
        fleet = fleets.placed(replace(healthy(), flavors=FLAVORS))
        offered = tuple([replace(provider, inventories=OFFERED) for provider in fleet.providers])
        databases.store(replace(fleet, providers=offered))
        groups = {'api_database': databases.api, 'database': databases.cell1, 'placement_database': databases.placement}
        text = ''.join(f'[{group}]\nconnection = {url(engine)}\n' for group, engine in groups.items())
        text += f'[filter_scheduler]\nenabled_filters = {FILTERS}\nmax_instances_per_host = 4\n'
        config = tmp_path / 'nova.conf'
        config.write_text(text.replace('%', '%%'), 'utf-8')

        def run(line):
            status = main.main(['--config-file', str(config), *line.split()])
            printed = capsys.readouterr()
            assert (0, '') == (status, printed.err)
            return printed.out

        yield databases, run


def test_the_figures_are_those_of_a_file_with_all_servers(nova, tmp_path):
    _, run = nova
    run(f'fleet export {tmp_path}/fleet.json --from nova')
    for command in ('metrics --hosts', 'fleet capacity --flavor pinned --hosts', 'flavor lint -f json'):
        text = run(f'{command} --from nova')
        assert text == run(f'{command} --from {tmp_path}/fleet.json')
    text = run('metrics --hosts --from nova')
    assert 'numaplace_servers 5.0\n' in text
    assert 'numaplace_flavor_fits{flavor="floating",host="h1"} 0.0\n' in text  # four servers hold something there
    assert 'numaplace_flavor_fits{flavor="floating",host="h2"} 3.0\n' in text


def test_a_damaged_server_does_not_stop_the_figures(nova):
    databases, run = nova
    before = run('metrics --hosts --from nova')
    databases.damage('request_specs', spec='{')
    assert before == run('metrics --hosts --from nova')
    databases.damage('instances', vcpus=None)
    text = run('metrics --hosts --from nova')
    assert 'numaplace_servers 0.0\n' in text
    assert 'numaplace_unread_rows 6.0\n' in text  # the one in a move on both of its hosts
