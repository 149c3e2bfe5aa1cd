# SPDX-License-Identifier: Apache-2.0
"""Weighers order hosts, the same in every process."""

from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights import weigh
from numaplace.scheduler.weights.ram import RAMWeigher
from numaplace.tests import samples

HOSTS = [
    samples.host_record('c', memory_mib=2048),
    samples.host_record('a', memory_mib=1024),
    samples.host_record('b', memory_mib=4096),
    samples.host_record('d', memory_mib=4096),
]


def order(hosts, weighers):
    asked = Request(samples.instance_request(samples.guest()))
    return [host for host, _ in weigh(hosts, weighers, asked)]


def names(hosts):
    return [host.name for host in hosts]


def test_much_free_memory_comes_first():
    assert ['b', 'd', 'c', 'a'] == names(order(HOSTS, [(RAMWeigher(), 1.0)]))


def test_a_negative_multiplier_turns_the_order_round():
    assert ['a', 'c', 'b', 'd'] == names(order(HOSTS, [(RAMWeigher(), -1.0)]))


def test_without_weighers_hosts_go_by_name():
    assert ['a', 'b', 'c', 'd'] == names(order(HOSTS, []))


def test_the_order_of_the_hosts_does_not_matter():
    assert names(order(HOSTS, [(RAMWeigher(), 1.0)])) == names(order(reversed(HOSTS), [(RAMWeigher(), 1.0)]))


def test_no_hosts_are_no_fault():
    assert [] == order([], [(RAMWeigher(), 1.0)])
