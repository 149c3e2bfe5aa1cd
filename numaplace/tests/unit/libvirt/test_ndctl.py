# SPDX-License-Identifier: Apache-2.0
"""Namespaces of persistent memory as ndctl lists them."""

import json
import re

import pytest

from numaplace import exception
from numaplace.libvirt import ndctl
from numaplace.model.host_resources import Namespace

LABELS = (('ns0', '6GB'), ('ns1', '6GB'), ('big', 'LARGE'))


def listed(name, device, size=6440353792, node=None, **more):
    """Return a namespace as `ndctl list -X -v` prints it."""
    region = {
        'id': 0,
        'size': size,
        'align': 2097152,
        'devices': [{'chardev': device, 'size': size, 'target_node': 2}],
    }
    known = {} if node is None else {'numa_node': node}
    return {'dev': 'namespace0.0', 'mode': 'devdax', 'size': size, 'name': name, 'daxregion': region, **known, **more}


def read(*found):
    return ndctl.read(json.dumps(list(found)).encode(), LABELS, 'here')


def test_those_with_a_label_are_read_by_name_in_whole_mib():
    found = read(listed('ns1', 'dax0.1', 6440353792 + 4096, node=1), listed('ns0', 'dax0.0'), listed('other', 'dax9.0'))
    assert found == (
        Namespace('ns0', '6GB', '/dev/dax0.0', 6142 * 1024, 2048),
        Namespace('ns1', '6GB', '/dev/dax0.1', 6142 * 1024, 2048, 1),
    )


def test_a_node_that_the_kernel_does_not_know_is_none():
    assert [one.numa_node for one in read(listed('ns0', 'dax0.0', node=-1))] == [None]


def test_one_alone_and_none_are_read():
    alone = json.dumps(listed('big', 'dax1.0')).encode()
    assert [one.label for one in ndctl.read(alone, LABELS, 'here')] == ['LARGE']
    assert ndctl.read(b'', LABELS, 'here') == ()
    assert ndctl.read(json.dumps([{'dev': 'namespace1.0', 'mode': 'fsdax'}]).encode(), LABELS, 'here') == ()


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (b'{', 'here: Expecting'),
        (b'[1]', 'here: expected the output of `ndctl list -X -v`, a list of namespaces'),
        (b'[{"name": "ns0", "size": 1, "mode": "fsdax"}]', "here: namespace 'ns0' is not one of mode devdax"),
        (json.dumps([listed('ns0', 'dax0.0', size=0)]).encode(), "here: namespace 'ns0' is not one"),
        (json.dumps([listed('ns0', 'dax0.0', numa_node='x')]).encode(), "here: namespace 'ns0' is not one"),
        (json.dumps([listed('ns0', 'dax0.0')] * 2).encode(), "here: several namespaces have the name 'ns0'"),
    ],
)
def test_what_is_no_such_list_is_told_with_its_place(content, told):
    with pytest.raises(exception.InvalidCapabilities, match=f'^{re.escape(told)}'):
        ndctl.read(content, LABELS, 'here')


def test_nobody_is_asked_without_labels_and_a_program_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert ndctl.ask(()) is None
    with pytest.raises(exception.UnreadableTopology, match=r'^`ndctl list`: .*ndctl'):
        ndctl.ask(LABELS)


def test_the_program_of_this_machine_is_asked(monkeypatch, tmp_path):
    program = tmp_path / 'ndctl'
    program.write_text(
        f"#!/bin/sh\n[ \"$*\" = 'list -X -v' ] && cat <<'END'\n{json.dumps(listed('ns0', 'dax0.0'))}\nEND\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')
    assert [one.name for one in ndctl.ask(LABELS)] == ['ns0']
