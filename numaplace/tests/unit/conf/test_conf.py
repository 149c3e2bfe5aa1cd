# SPDX-License-Identifier: Apache-2.0
"""Configuration files are read as Nova writes them, and bad values are explained."""

import pytest
from oslo_config import generator

from numaplace import conf, exception


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a text."""

    def read(text):
        path = tmp_path / 'test.conf'
        path.write_text(text)
        return conf.load([str(path)])

    return read


def test_the_defaults_are_novas(load):
    loaded = load('')
    assert 'NUMATopologyFilter' == loaded.filter_scheduler.enabled_filters[-1]
    assert 3 == loaded.scheduler.max_attempts
    assert (4.0, 1.0) == conf.ratios(loaded)
    assert (None, None) == conf.cpu_sets(loaded)
    assert {} == conf.reserved_pages(loaded)
    assert 'spread' == conf.strategy(loaded)
    assert 'none' == loaded.numaplace.default_guest_numa


def test_options_of_others_are_ignored(load):
    loaded = load('[DEFAULT]\ntransport_url = rabbit://x\n[database]\nconnection = mysql://nova\n[api]\nx = y\n')
    assert loaded.numaplace.connection is None


STRATEGIES = {
    'packing': ('[compute]\npacking_host_numa_cells_allocation_strategy = true', 'pack'),
    'not packing': ('[compute]\npacking_host_numa_cells_allocation_strategy = false', 'spread'),
    'ours wins': (
        '[compute]\npacking_host_numa_cells_allocation_strategy = true\n[numaplace]\nstrategy = linear',
        'linear',
    ),
}


@pytest.mark.parametrize(('text', 'name'), STRATEGIES.values(), ids=STRATEGIES)
def test_the_strategy_is_ours_or_the_one_that_novas_option_stands_for(load, text, name):
    assert name == conf.strategy(load(text))


def test_reserved_pages_are_read_by_cell_and_size(load):
    loaded = load(
        'reserved_huge_pages = node:0,size:2048,count:64\nreserved_huge_pages = node:1, size:1GB, count:1\n'.join(
            ('[DEFAULT]\n', '')
        )
    )
    assert {0: {2048: 64}, 1: {1048576: 1}} == conf.reserved_pages(loaded)


def test_pages_reserved_twice_are_refused(load):
    loaded = load('[DEFAULT]\n' + 'reserved_huge_pages = node:0,size:2048,count:64\n' * 2)
    with pytest.raises(exception.InvalidReservedMemoryPagesOption, match='node 0 and pages of 2048 KiB twice'):
        conf.reserved_pages(loaded)


def test_vcpu_pin_set_stands_for_both_sets(load):
    assert (0b1011, 0b1011) == conf.cpu_sets(load('[DEFAULT]\nvcpu_pin_set = 0-3,^2'))


def test_networks_have_groups_of_their_own(load):
    loaded = load('[neutron]\nphysnets = foo\n[neutron_physnet_foo]\nnuma_nodes = 0,1\n[neutron_tunnel]\nnuma_nodes=1')
    assert ((0, 1), (1,)) == (loaded.neutron_physnet_foo.numa_nodes, loaded.neutron_tunnel.numa_nodes)


def test_the_last_file_wins(tmp_path):
    for name in ('linear', 'pack'):
        (tmp_path / name).write_text(f'[numaplace]\nstrategy = {name}')
    assert 'pack' == conf.strategy(conf.load([str(tmp_path / 'linear'), str(tmp_path / 'pack')]))


def test_a_variable_wins_over_the_files(load, monkeypatch):
    monkeypatch.setenv('OS_NUMAPLACE__STRATEGY', 'pack')
    assert 'pack' == conf.strategy(load('[numaplace]\nstrategy = linear'))


def test_a_bad_variable_is_named(load, monkeypatch):
    monkeypatch.setenv('OS_NUMAPLACE__STRATEGY', 'random')
    with pytest.raises(exception.InvalidConfiguration, match=r"variable OS_NUMAPLACE__STRATEGY: .* = 'random'"):
        load('')


FAULTS = {
    'strategy': ('[numaplace]\nstrategy = x', 'one of linear, spread, pack'),
    'default_guest_numa': ('[numaplace]\ndefault_guest_numa = two', 'one of none, single'),
    'virt_type': ('[libvirt]\nvirt_type = xen', 'one of kvm, qemu'),
    'max_attempts': ('[scheduler]\nmax_attempts = 0', 'whole number from 1'),
    'cpu_allocation_ratio': ('[DEFAULT]\ncpu_allocation_ratio = 0', 'number above 0'),
    'ram_allocation_ratio': ('[DEFAULT]\nram_allocation_ratio = nan', 'number above 0'),
    'ram_weight_multiplier': ('[filter_scheduler]\nram_weight_multiplier = heavy', 'a number such as'),
    'cpu_shared_set': ('[compute]\ncpu_shared_set = 3-1', 'ends before it starts'),
    'cpu_dedicated_set': ('[compute]\ncpu_dedicated_set = 0,^0', 'names no CPU'),
    'packing_host_numa_cells_allocation_strategy': (
        '[compute]\npacking_host_numa_cells_allocation_strategy = maybe',
        'true or false',
    ),
    'reserved_huge_pages': ('[DEFAULT]\nreserved_huge_pages = node:0,size:2048', 'node:0,size:2048,count:64'),
    'numa_nodes': ('[neutron_tunnel]\nnuma_nodes = x', "'0,1'"),
}


@pytest.mark.parametrize('option', ['', 'initial_'])
@pytest.mark.parametrize('value', ['1e308', '1000000.5', '-1', 'inf'])
def test_a_ratio_that_no_host_has_is_refused(load, option, value):
    for kind in ('cpu', 'ram'):
        with pytest.raises(exception.InvalidConfiguration, match='above 0, up to 1000000'):
            load(f'[DEFAULT]\n{option}{kind}_allocation_ratio = {value}')


def test_the_largest_ratio_is_taken(load):
    assert (1e6, 1e6) == conf.ratios(load('[DEFAULT]\ncpu_allocation_ratio = 1000000\nram_allocation_ratio = 1e6'))


@pytest.mark.parametrize('option', FAULTS)
def test_a_bad_value_names_file_option_value_and_forms(load, option):
    text, forms = FAULTS[option]
    with pytest.raises(exception.InvalidConfiguration) as caught:
        load(text)
    line = str(caught.value)
    value = text.rpartition(' = ')[2]
    assert [] == [word for word in ('test.conf: [', f'] {option} = {value!r}: ', forms) if word not in line]
    assert '\n' not in line


def test_all_bad_values_are_told_at_once(load):
    with pytest.raises(exception.InvalidConfiguration, match=r'strategy.*max_attempts'):
        load('[numaplace]\nstrategy = x\n[scheduler]\nmax_attempts = x')


CONFLICTS = {
    'a CPU in both sets': (
        '[compute]\ncpu_shared_set = 0-3\ncpu_dedicated_set = 3-5',
        exception.InvalidConfiguration,
        'both name the CPUs 3',
    ),
    'old and new sets': (
        '[DEFAULT]\nvcpu_pin_set = 0-3\n[compute]\ncpu_dedicated_set = 3-5',
        exception.InvalidConfiguration,
        'do not go together',
    ),
    'a network without cells': (
        '[neutron]\nphysnets = foo',
        exception.InvalidNetworkNUMAAffinity,
        r"'foo', but \[neutron_physnet_foo\] numa_nodes is missing",
    ),
}


@pytest.mark.parametrize(('text', 'fault', 'words'), CONFLICTS.values(), ids=CONFLICTS)
def test_options_that_contradict_each_other(load, text, fault, words):
    with pytest.raises(fault, match=words):
        load(text)


FILES = {
    'missing': (None, 'does not exist'),
    'no configuration': (b'hello', 'No .* found in assignment'),
    'no text': (b'\xff\xfe\x00', 'no text in UTF-8'),
}


@pytest.mark.parametrize(('content', 'words'), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read(tmp_path, content, words):
    path = tmp_path / 'x.conf'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(exception.InvalidConfiguration, match=f'x.conf.*{words}'):
        conf.load([str(path)])


def test_every_option_has_help_that_names_its_forms():
    bare = [
        f'[{group}] {option.name}'
        for group, options in conf.list_opts()
        for option in options
        if 'Form: ' not in (option.help or '')
    ]
    assert [] == bare


def test_the_sample_file_can_be_generated(tmp_path):
    target = tmp_path / 'sample.conf'
    generator.main(['--namespace', 'numaplace', '--output-file', str(target)])
    text = target.read_text()
    assert '#connection = ' in text
    assert '[neutron_tunnel]' in text
    conf.load([str(target)])
