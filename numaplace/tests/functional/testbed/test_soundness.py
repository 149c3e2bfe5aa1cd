# SPDX-License-Identifier: Apache-2.0
"""libvirt takes without a word what is refused here; where it learns to refuse something itself, this tells."""

from lxml import etree

from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt.unsound import UNSOUND


def test_libvirt_takes_what_is_unsound_without_a_word(talk_host, tmp_path):
    documents = []
    for name, unsound in UNSOUND.items():
        xml = unsound.xml()
        documents.append((name, etree.fromstring(xml).findtext('uuid'), xml))
    told = defining.differences(talk_host.virsh, documents, tmp_path)
    assert [] == [line for line in told if line.endswith(': is not defined')]
