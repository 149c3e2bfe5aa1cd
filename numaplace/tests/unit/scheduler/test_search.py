# SPDX-License-Identifier: Apache-2.0
"""How many hosts refuse a guest, by filter and kind of reason."""

from dataclasses import replace

import pytest

from numaplace.model import Reason, Refusal
from numaplace.model.records import DISABLED
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.filters.compute import ComputeFilter
from numaplace.scheduler.filters.numa_topology import NUMATopologyFilter
from numaplace.scheduler.index import HostIndex
from numaplace.scheduler.search import Search
from numaplace.tests import samples

FIT = 'NUMATopologyFilter'


class OwnArrays(Filter):
    """A plug-in that leaves out all hosts at once, and does not say why."""

    def admit(self, host, request):
        return Refusal.of(Reason('zone'))

    def may_admit(self, index, request):
        return ~index.everything()


class NoArrays(OwnArrays):
    """A plug-in that is asked host by host."""

    def may_admit(self, index, request):
        return None


def _counts(hosts, guest, *filters):
    records = [replace(samples.host_record(**keys), name=f'host{number}') for number, keys in enumerate(hosts)]
    search = Search(
        HostIndex(records), Request(samples.instance_request(guest)), [*filters, (FIT, NUMATopologyFilter())], ()
    )
    assert next(search.heaviest_first(), None) is None
    return search.counts()


SMALL, FULL, ONE_CELL = {'cpus': 2}, {'memory_mib': 256}, {'cells': 1}


@pytest.mark.parametrize(
    ('hosts', 'guest', 'expected'),
    [
        ([SMALL, SMALL], samples.guest(vcpus=4), {(FIT, 'cpus'): 2}),
        ([SMALL, FULL], samples.guest(vcpus=4), {(FIT, 'cpus'): 1, (FIT, 'memory'): 1}),
        ([SMALL | FULL], samples.guest(vcpus=4), {(FIT, 'cpus'): 1, (FIT, 'memory'): 1}),
        ([{}, FULL], samples.guest(pagesize_kib=1048576), {(FIT, 'pages'): 2}),
        ([ONE_CELL], samples.guest(cells=2), {(FIT, 'cells'): 1}),
        ([{}], samples.guest(vcpus=8, thread_policy='isolate'), {(FIT, 'threads'): 1}),
    ],
)
def test_a_host_counts_for_each_resource_that_it_lacks(hosts, guest, expected):
    assert _counts(hosts, guest) == expected


def test_a_host_counts_for_the_first_filter_that_leaves_it_out():
    disabled = replace(samples.host_record(cpus=2), name='host0', status=DISABLED)
    index = HostIndex([disabled, replace(samples.host_record(cpus=2), name='host1')])
    request = Request(samples.instance_request(samples.guest(vcpus=4)))
    search = Search(index, request, [('ComputeFilter', ComputeFilter()), (FIT, NUMATopologyFilter())], ())
    reason = next(iter(ComputeFilter().admit(disabled, request).kinds))
    assert search.counts() == {('ComputeFilter', reason): 1, (FIT, 'cpus'): 1}


def test_arrays_that_tell_no_kind_count_without_one():
    assert _counts([{}, {}], samples.guest(), ('OwnArrays', OwnArrays())) == {('OwnArrays', ''): 2}


def test_hosts_that_no_array_leaves_out_count_by_their_own_answer():
    assert _counts([{}, {}, SMALL], samples.guest(vcpus=4), ('NoArrays', NoArrays())) == {
        ('NoArrays', 'zone'): 2,
        (FIT, 'cpus'): 1,
    }
