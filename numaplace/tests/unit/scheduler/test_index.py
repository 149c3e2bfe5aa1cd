# SPDX-License-Identifier: Apache-2.0
"""What the index keeps of hosts."""

from dataclasses import replace

from numaplace.scheduler.index import HostIndex
from numaplace.tests import samples


def test_what_is_found_of_a_host_is_kept_until_it_changes():
    index, asked = HostIndex(replace(samples.host_record(), name=name) for name in 'abc'), []

    def number(record):
        asked.append(record.name)
        return float(len(asked))

    assert [1.0, 2.0, 3.0] == index.kept('a', number).tolist() == index.kept('a', number).tolist()
    index.update([index.records[1]], gone=[index.records[0].name])
    assert [4.0, 3.0] == index.kept('a', number).tolist()
    for other in range(64):
        index.kept(other, lambda _record: 0.0)
    assert [5.0, 6.0] == index.kept('a', number).tolist(), 'those asked for longest ago are forgotten'
