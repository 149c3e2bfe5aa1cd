# SPDX-License-Identifier: Apache-2.0
"""What libvirt takes without a word is refused with its place, and nothing that is written is such."""

import re
from dataclasses import replace

import pytest

from numaplace import exception
from numaplace.libvirt import document, domain_checks
from numaplace.libvirt.profile import PROFILES
from numaplace.tests.unit.libvirt import families, samples
from numaplace.tests.unit.libvirt.samples import SAMPLES, Sample, cell, placed
from numaplace.tests.unit.libvirt.unsound import UNSOUND


def _check(xml, host, **options):
    read = document.parse(xml.encode(), 'guest.xml', 'domain', 'a domain', exception.InvalidDomain)
    domain_checks.check(read, host, **options)


@pytest.mark.parametrize('name', UNSOUND)
def test_what_is_unsound_is_refused_with_its_place(name):
    unsound = UNSOUND[name]
    with pytest.raises(exception.InvalidDomain, match=re.escape(f'/domain{unsound.told}')) as caught:
        _check(unsound.xml(), unsound.host)
    assert str(caught.value).startswith('guest.xml: line ')
    assert f'/domain{unsound.told}' in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', SAMPLES)
def test_each_sample_is_sound(name):
    _check(SAMPLES[name].xml(), SAMPLES[name].host)


@pytest.mark.parametrize('host', families.HOSTS)
def test_each_server_is_sound_in_each_form(host):
    for server in families.placed(host):
        for profile in PROFILES:
            _check(server.xml(profile), server.host, reaches_all_nodes=PROFILES[profile].reaches_all_nodes)


def test_an_emulator_without_a_pin_may_run_on_each_node():
    xml = SAMPLES['huge pages'].xml().replace("<emulatorpin cpuset='0-1,4-5'/>", '')
    _check(xml, SAMPLES['huge pages'].host)
    with pytest.raises(exception.InvalidDomain, match='/domain/vcpu/@cpuset: the emulator has no CPU of node 1'):
        _check(xml.replace("'static'>", "'static' cpuset='0-3'>"), SAMPLES['huge pages'].host)


def test_a_cell_of_memory_alone_belongs_on_a_node_without_cpus():
    host = SAMPLES['two cells'].host
    bare = replace(host.cells[1].shape, shared_cpus=0, dedicated_cpus=0, online_cpus=0, siblings=())
    unsound = UNSOUND['a cell without vCPUs']
    _check(
        unsound.xml()
        .replace("<vcpupin vcpu='2' cpuset='4-5'/>", '')
        .replace("<vcpupin vcpu='3' cpuset='4-5'/>", '')
        .replace("cpuset='0-5'", "cpuset='0-3'"),
        replace(host, cells=(host.cells[0], replace(host.cells[1], shape=bare), host.cells[2])),
    )


_GONE = {
    'a CPU': (
        placed(cell(0, '0-1', 64, {0: 2, 1: 3})),
        lambda shape: replace(shape, online_cpus=0b0111, shared_cpus=0b0111, dedicated_cpus=0b0111),
        r"domain 'cirros2': /domain/cputune/vcpupin\[2\]/@cpuset: the host has no CPU 3: expected of 0-2,4-7",
    ),
    'the CPU of the emulator': (
        placed(cell(0, '0', 64, {0: 2}, emulator_cpus=1 << 3), emulator_policy='isolate'),
        lambda shape: replace(shape, online_cpus=0b0111, shared_cpus=0b0111, dedicated_cpus=0b0111),
        "domain 'cirros2': /domain/cputune/emulatorpin/@cpuset: the host has no CPU 3",
    ),
}


@pytest.mark.parametrize('name', _GONE)
def test_what_the_host_has_no_more_is_told_of_a_server_that_holds_it(name):
    placement, change, told = _GONE[name]
    host = samples.host('seed3')
    first = host.cells[0]
    changed = replace(host, cells=(replace(first, shape=change(first.shape)), *host.cells[1:]))
    assert Sample(host, placement).xml()
    with pytest.raises(exception.InvalidDomain, match=told):
        Sample(changed, placement).xml()


def test_pages_that_a_host_cell_has_no_more_are_told():
    host = samples.host('seed3')
    placement = placed(cell(0, '0', 64, None, 2048))
    small = replace(host.cells[0], pages=host.cells[0].pages[:1])
    with pytest.raises(exception.InvalidDomain, match='node 0 of the host has no pages of 2048 KiB: expected one of 4'):
        Sample(replace(host, cells=(small, *host.cells[1:])), placement).xml()


def test_cpus_that_are_not_known_are_not_missing():
    """Nova's rows do not say which CPUs a host has beside those for guests."""
    host = samples.host('seed3', '0-1', '2-3')
    unknown = [replace(each, shape=replace(each.shape, online_cpus=0)) for each in host.cells]
    assert Sample(replace(host, cells=tuple(unknown)), placed(cell(1, '0', 64, {0: 5}))).xml()
