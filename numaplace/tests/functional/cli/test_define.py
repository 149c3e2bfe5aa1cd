# SPDX-License-Identifier: Apache-2.0
"""Servers in a real libvirt, and the forms of their XML."""

import json
import re
from pathlib import Path

import pytest
from lxml import etree

from numaplace.tests import real


def test_libvirts_own_words_are_told_in_one_line(prepared):
    real.require_program('virsh')
    prepared('server create --flavor m1.numa one')
    for verb, asked in (('define', 'domcapabilities'), ('undefine', 'undefine')):
        result = prepared.run('server', verb, 'one', '--connect', 'nowhere:///')
        assert (1, '') == (result.returncode, result.stdout)
        assert result.stderr.startswith(f'numaplace: virsh {asked} at nowhere:///: ')
        assert 1 == result.stderr.count('\n')


def test_a_server_that_libvirt_does_not_know_is_not_undefined(prepared):
    real.require_program('virsh')
    prepared('server create --flavor m1.numa one')
    result = prepared.run('server', 'undefine', 'one', '--connect', 'test:///default')
    assert 1 == result.returncode
    assert prepared.json('server show one')['id'] in result.stderr


@pytest.mark.parametrize(
    ('form', 'iothreads', 'distances'),
    [('nova-12', 0, 0), ('nova-33', 1, 0), ('libvirt-2.2', 1, 0), ('newest', 1, 2)],
)
def test_the_form_is_that_of_a_release(prepared, form, iothreads, distances):
    prepared('flavor set --property hw:numa_nodes=2 m1.numa')
    prepared('server create --flavor m1.numa two')
    root = etree.fromstring(prepared(f'server dumpxml two --profile {form}'))
    assert iothreads == len(root.findall('iothreads'))
    assert distances == len(root.findall('cpu/numa/cell/distances'))


def test_a_quota_that_libvirt_would_refuse_leaves_no_server(prepared):
    line = 'flavor create --ram 64 --disk 1 --vcpus 1 q --property quota:cpu_shares=1'
    created = prepared.run(*line.split())
    assert "warning: flavor 'q': quota:cpu_shares='1': expected an integer from 2 to 262144" in created.stderr
    result = prepared.run('server', 'create', '--flavor', 'q', 'x')
    assert 1 == result.returncode
    assert "quota:cpu_shares='1': expected an integer from 2 to 262144" in result.stderr
    assert [] == prepared.json('server list')


def test_a_quota_is_written(prepared):
    prepared('flavor create --ram 64 --disk 1 --vcpus 1 q --property quota:cpu_shares=512')
    prepared('server create --flavor q x')
    assert '512' == etree.fromstring(prepared('server dumpxml x')).findtext('cputune/shares')


def test_servers_that_are_no_domains_and_domains_that_are_no_servers_are_listed(prepared):
    real.require_program('virsh')
    prepared('server create --flavor m1.numa one')
    result = prepared.run(*['server', 'check', '--host', 'seed3', '--connect', 'test:///default', '-f', 'json'])
    assert 1 == result.returncode
    assert "warning: host 'seed3' has a domain that numaplace does not manage: 'test'" in result.stderr
    rows = json.loads(result.stdout)
    uuid = prepared.json('server show one')['id']
    assert ('one', uuid, '') == (rows[0]['Server'], rows[0]['Expected'], rows[0]['Found'])
    assert ('', 'test', '') == (rows[1]['Server'], rows[1]['Domain'], rows[1]['Expected'])
    assert '6695eb01-f6a4-8304-79aa-97f2502e193f' == rows[1]['Found'], "the driver's own guest"


def test_a_host_without_a_name_of_ours_is_one_line(prepared):
    real.require_program('virsh')
    result = prepared.run(*['server', 'check', '--host', 'other', '--connect', 'test:///default'])
    assert (1, "numaplace: there is no host 'other'\n") == (result.returncode, result.stderr)


@pytest.fixture
def stale(prepared):
    """The program with a server of huge pages on a host that has none any more, and the place in its XML."""
    prepared('flavor create --ram 64 --vcpus 2 --property hw:mem_page_size=2MB huge')
    prepared('server create --flavor huge one')
    path = Path(prepared.fixture('seed3'))
    path.write_text(re.sub("<pages unit='KiB' size='2048'>.*</pages>", '', path.read_text()))
    prepared(f'host import seed3 --refresh --capabilities {path}')
    return prepared, "domain 'one': /domain/memoryBacking/hugepages/page/@size: node 0 of the host has no pages of 2048"


@pytest.mark.parametrize('verb', ['dumpxml', 'define --connect test:///default'])
def test_what_the_host_of_a_server_has_no_more_is_told_in_one_line(stale, verb):
    program, told = stale
    if 'define' in verb:
        real.require_program('virsh')
    result = program.run('server', *verb.split(), 'one')
    assert (1, '') == (result.returncode, result.stdout)
    assert result.stderr.startswith(f'numaplace: {told}')
    assert 1 == result.stderr.count('\n')
