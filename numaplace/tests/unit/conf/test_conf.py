# SPDX-License-Identifier: Apache-2.0
"""Configuration files are read as Nova writes them, and bad values are explained."""

import re

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
    assert 'closest' == conf.strategy(loaded)
    assert 'none' == loaded.numaplace.default_guest_numa


POWER = {
    'by default': ('', None),
    'cores off': ('cpu_power_management = True', 'cpu_state'),
    'slow cores': ('cpu_power_management = true\ncpu_power_management_strategy = governor', 'governor'),
    'a strategy that is not used': ('cpu_power_management_strategy = governor', None),
}


@pytest.mark.parametrize(('text', 'strategy'), POWER.values(), ids=POWER)
def test_power_is_saved_by_a_strategy_where_it_is_managed(load, text, strategy):
    loaded = load(f'[libvirt]\n{text}\n')
    assert strategy == conf.power_strategy(loaded)
    assert ('powersave', 'performance') == (
        loaded.libvirt.cpu_power_governor_low,
        loaded.libvirt.cpu_power_governor_high,
    )


def test_an_unknown_strategy_of_power_management_is_refused(load):
    words = r"cpu_power_management_strategy = 'off': expected one of cpu_state, governor"
    with pytest.raises(exception.InvalidConfiguration, match=words):
        load('[libvirt]\ncpu_power_management_strategy = off\n')


def test_options_of_others_are_ignored(load):
    loaded = load('[DEFAULT]\ntransport_url = rabbit://x\n[database]\nconnection = mysql://nova\n[api]\nx = y\n')
    assert loaded.numaplace.connection is None


STRATEGIES = {
    'packing': ('[compute]\npacking_host_numa_cells_allocation_strategy = true', 'pack'),
    'not packing': ('[compute]\npacking_host_numa_cells_allocation_strategy = false', 'closest'),
    'ours wins': (
        '[compute]\npacking_host_numa_cells_allocation_strategy = true\n[numaplace]\nstrategy = linear',
        'linear',
    ),
}


@pytest.mark.parametrize(('text', 'name'), STRATEGIES.values(), ids=STRATEGIES)
def test_the_strategy_is_ours_or_pack_where_novas_option_is_on(load, text, name):
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


@pytest.mark.parametrize(('text', 'value'), [('', ()), ('cxl', ('cxl',)), (' 8, cxl ,,12', (8, 'cxl', 12))])
def test_general_memory_is_kinds_and_numbers_of_cells(load, text, value):
    assert value == load(f'[numaplace]\ngeneral_memory = {text}').numaplace.general_memory
    assert () == load('').numaplace.general_memory


def test_the_mix_of_guests_is_cells_cpus_memory_and_number(load):
    loaded = load('[numaplace]\npreserve_mix = 1x2x4096:120, 2 x 8 x 16384 : 10')
    assert ((1, 2, 4096, 120), (2, 8, 16384, 10)) == conf.preserve_mix(loaded)
    assert () == conf.preserve_mix(load(''))


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
    'strategy': ('[numaplace]\nstrategy = x', 'one of closest, preserve, linear, spread, pack'),
    'preserve_mix': ('[numaplace]\npreserve_mix = 1x2x0:3', 'CELLSxCPUSxMIB:NUMBER'),
    'default_guest_numa': ('[numaplace]\ndefault_guest_numa = two', 'one of none, single'),
    'general_memory': ('[numaplace]\ngeneral_memory = dram', 'cxl, gpu, hbm, slow, unknown, and numbers of host cells'),
    'virt_type': ('[libvirt]\nvirt_type = xen', 'one of kvm, qemu'),
    'max_attempts': ('[scheduler]\nmax_attempts = 0', 'whole number from 1'),
    'cpu_allocation_ratio': ('[DEFAULT]\ncpu_allocation_ratio = many', "'0.0' for none"),
    'ram_allocation_ratio': ('[DEFAULT]\nram_allocation_ratio = nan', 'number above 0'),
    'ram_weight_multiplier': ('[filter_scheduler]\nram_weight_multiplier = heavy', 'a number such as'),
    'cpu_shared_set': ('[compute]\ncpu_shared_set = 3-1', 'ends before it starts'),
    'cpu_dedicated_set': ('[compute]\ncpu_dedicated_set = 0,^0', 'names no CPU'),
    'packing_host_numa_cells_allocation_strategy': (
        '[compute]\npacking_host_numa_cells_allocation_strategy = maybe',
        'true or false',
    ),
    'reserved_huge_pages': ('[DEFAULT]\nreserved_huge_pages = node:0,size:2048', 'node:0,size:2048,count:64'),
    'cpu_mode': ('[libvirt]\ncpu_mode = host', 'one of host-model, host-passthrough, custom, none'),
    'cpu_models': ('[libvirt]\ncpu_mode = custom\ncpu_models = Has well', "such as 'Haswell,Broadwell'"),
    'cpu_model_extra_flags': ('[libvirt]\ncpu_model_extra_flags = +', "such as '-pdpe1gb, +vmx, pcid'"),
    'hw_machine_type': ('[libvirt]\nhw_machine_type = q35', "such as 'x86_64=q35,aarch64=virt'"),
    'numa_nodes': ('[neutron_tunnel]\nnuma_nodes = x', "'0,1'"),
}


@pytest.mark.parametrize('option', ['', 'initial_'])
@pytest.mark.parametrize('value', ['1e308', '1000000.5', '-1', 'inf', 'nan'])
def test_a_ratio_that_no_host_has_is_refused(load, option, value):
    for kind in ('cpu', 'ram'):
        with pytest.raises(exception.InvalidConfiguration, match='above 0, up to 1000000'):
            load(f'[DEFAULT]\n{option}{kind}_allocation_ratio = {value}')


def test_the_largest_ratio_is_taken(load):
    assert (1e6, 1e6) == conf.ratios(load('[DEFAULT]\ncpu_allocation_ratio = 1000000\nram_allocation_ratio = 1e6'))


RATIOS = {
    'a new host, by default': ('', (None, None), (4.0, 1.0)),
    'a new host': ('initial_cpu_allocation_ratio = 8\ninitial_ram_allocation_ratio = 1.5', (None, None), (8.0, 1.5)),
    'a registered host': ('initial_cpu_allocation_ratio = 8\ninitial_ram_allocation_ratio = 1.5', (2.0, 3.0), (2, 3)),
    'configured': ('cpu_allocation_ratio = 16\nram_allocation_ratio = 1.2', (2.0, 3.0), (16.0, 1.2)),
    'not configured': ('cpu_allocation_ratio = 0.0\nram_allocation_ratio = 0', (2.0, None), (2.0, 1.0)),
}


@pytest.mark.parametrize(('text', 'stored', 'expected'), RATIOS.values(), ids=RATIOS)
def test_the_ratios_are_those_that_nova_would_store(load, text, stored, expected):
    assert expected == conf.ratios(load(f'[DEFAULT]\n{text}\n'), stored)


def test_an_initial_ratio_of_zero_is_refused(load):
    with pytest.raises(exception.InvalidConfiguration, match=r"number above 0, up to 1000000, such as '1.0' or '16'$"):
        load('[DEFAULT]\ninitial_cpu_allocation_ratio = 0.0\n')


@pytest.mark.parametrize('option', FAULTS)
def test_a_bad_value_names_file_option_value_and_forms(load, option):
    text, forms = FAULTS[option]
    with pytest.raises(exception.InvalidConfiguration, match=re.escape(forms)) as caught:
        load(text)
    line = str(caught.value)
    value = text.rpartition(' = ')[2]
    assert [] == [word for word in ('test.conf: [', f'] {option} = {value!r}: ', forms) if word not in line]
    assert '\n' not in line


def test_all_bad_values_are_reported_at_once(load):
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
        'conflicts with',
    ),
    'a flag both ways': (
        '[libvirt]\ncpu_model_extra_flags = +vmx, pcid, -VMX',
        exception.InvalidConfiguration,
        'vmx is both required and forbidden',
    ),
    'an architecture with two machine types': (
        '[libvirt]\nhw_machine_type = x86_64=q35, x86_64=pc',
        exception.InvalidConfiguration,
        'x86_64 has two machine types',
    ),
    'an architecture with two names and two machine types': (
        '[libvirt]\nhw_machine_type = arm64=virt, aarch64=virt-7.2',
        exception.InvalidConfiguration,
        'aarch64 has two machine types',
    ),
    'a machine type that cannot be one': (
        '[libvirt]\nhw_machine_type = x86_64=pc+q35',
        exception.InvalidConfiguration,
        'hw_machine_type = .x86_64=pc.q35.: expected pairs',
    ),
    'an architecture without a machine type': (
        '[libvirt]\nhw_machine_type = x86_64=',
        exception.InvalidConfiguration,
        'hw_machine_type = .x86_64=.: expected pairs',
    ),
    'a custom CPU without a model': (
        '[libvirt]\ncpu_mode = custom',
        exception.InvalidConfiguration,
        r'cpu_mode = custom needs \[libvirt\] cpu_models: expected names',
    ),
    'a model without a custom CPU': (
        '[libvirt]\ncpu_models = Haswell',
        exception.InvalidConfiguration,
        r'cpu_models = Haswell needs \[libvirt\] cpu_mode = custom, which is not set',
    ),
    'a model with another mode': (
        '[libvirt]\ncpu_mode = host-model\ncpu_models = Haswell',
        exception.InvalidConfiguration,
        'custom, which is host-model: expected both or neither',
    ),
    'flags without a CPU': (
        '[libvirt]\ncpu_mode = none\ncpu_model_extra_flags = -vmx',
        exception.InvalidConfiguration,
        r'cpu_model_extra_flags = vmx does not go together with \[libvirt\] cpu_mode = none',
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


def test_cpus_and_machines_are_read_as_nova_writes_them(load):
    loaded = load("""[libvirt]
virt_type = qemu
cpu_mode = custom
cpu_models = IvyBridge, Haswell
cpu_model_extra_flags = -PDPE1GB, +VMX, pcid, vmx
hw_machine_type = AMD64=q35, armv7l=virt
""").libvirt
    assert ('custom', ('IvyBridge', 'Haswell')) == (loaded.cpu_mode, loaded.cpu_models)
    assert (('pdpe1gb', 'disable'), ('vmx', 'require'), ('pcid', 'require')) == loaded.cpu_model_extra_flags
    assert (('x86_64', 'q35'), ('armv7l', 'virt')) == loaded.hw_machine_type


def test_of_cpus_nothing_is_set_by_default(load):
    loaded = load('').libvirt
    assert (None, (), (), ()) == (
        loaded.cpu_mode,
        loaded.cpu_models,
        loaded.cpu_model_extra_flags,
        loaded.hw_machine_type,
    )


def test_the_old_name_of_the_models_is_read_and_named_in_its_faults(load):
    assert ('Haswell',) == load('[libvirt]\ncpu_mode = custom\ncpu_model = Haswell').libvirt.cpu_models
    with pytest.raises(exception.InvalidConfiguration, match=r"test.conf: \[libvirt\] cpu_models = 'a b': expected"):
        load('[libvirt]\ncpu_mode = custom\ncpu_model = a b')


FILES = {
    'missing': (None, 'does not exist'),
    'no configuration': (b'hello', 'No .* found in assignment'),
    'no text': (b'\xff\xfe\x00', 'not UTF-8 text'),
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


PCI = """
[pci]
alias = {"name": "gpu", "vendor_id": "10de", "product_id": "20b0", "device_type": "type-PCI"}
alias = {"name": "gpu", "vendor_id": "10de", "product_id": "2330", "device_type": "type-PCI"}
device_spec = {"address": ":0a:00."}
device_spec = [{"vendor_id": "8086"}, {"devname": "eth0", "physical_network": "lake"}]
"""


def test_devices_are_read_as_nova_spells_them(load):
    loaded = load(PCI)
    assert ['20b0', '2330'] == [wanted['product_id'] for wanted in conf.pci_aliases(loaded)['gpu'].alternatives]
    assert [('*', '0a', '00', '*'), (), ()] == [spec.address for spec in conf.device_specs(loaded)]
    old = load(PCI.replace('device_spec', 'passthrough_whitelist'))
    assert conf.device_specs(loaded) == conf.device_specs(old)
    assert ({}, None) == (conf.pci_aliases(load('')), conf.device_specs(load('')))
    assert () == conf.device_specs(load('[pci]\ndevice_spec = []'))


@pytest.mark.parametrize(
    ('text', 'error', 'expected'),
    [
        (
            '[pci]\nalias = {"name": "gpu"}',
            exception.InvalidConfiguration,
            r"test.conf: \[pci\] alias = '.*': alias 'gpu': expected vendor_id and product_id",
        ),
        (
            '[pci]\ndevice_spec = {"address": "0:0:0:0"}',
            exception.InvalidConfiguration,
            r"test.conf: \[pci\] device_spec = .*: address=\"0:0:0:0\": expected '\[\[\[DOMAIN:\]BUS:\]SLOT\]",
        ),
        (
            PCI.replace('"2330"', '"2330", "numa_policy": "socket"'),
            exception.PciInvalidAlias,
            r"\[pci\] alias: alias 'gpu' has numa_policy legacy and socket: expected the same each time",
        ),
        (
            '[pci]\ndevice_spec = {"one_time_use": "yes"}',
            exception.PciConfigInvalidSpec,
            r'\[pci\] device_spec: one_time_use needs \[pci\] report_in_placement = true: expected both or neither',
        ),
    ],
)
def test_devices_that_are_wrong_are_explained(load, text, error, expected):
    with pytest.raises(error, match=expected):
        load(text)


def test_a_device_for_one_use_is_read_with_placement(load):
    loaded = load('[pci]\nreport_in_placement = True\ndevice_spec = {"one_time_use": "yes"}')
    assert {'one_time_use': 'true'} == conf.device_specs(loaded)[0].tags
