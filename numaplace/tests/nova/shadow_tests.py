# SPDX-License-Identifier: Apache-2.0
"""A whole Nova over fake hypervisors in shadow mode: ``python -m numaplace.tests.nova.shadow_tests [NAME...]``.

Names are those of tests of Nova's own. What shadow mode has counted goes to standard output as JSON.
"""

import importlib
import json
import sys
import unittest

import nova.tests.functional  # noqa: F401 - sets up threads as Nova's tests want them, before all else
from nova import conf, context, objects
from nova.scheduler.filters import numa_topology_filter
from nova.tests.fixtures import libvirt
from nova.tests.functional.libvirt import test_numa_servers

from numaplace import conf as our_conf
from numaplace.nova import engine, shadow_report
from numaplace.tests.nova import configuration

#: The lines that were logged, with the instance.
LINES = []


class ShadowTests(test_numa_servers.NUMAServersTestBase):
    """The two guests that Nova's fit caches get wrong, from the API to the hypervisor."""

    def _start(self, free):
        """Start a compute node of three cells of 4 CPUs, of which so many are dedicated."""
        dedicated = [4 * cell + cpu for cell, count in enumerate(free) for cpu in range(count)]
        self.flags(cpu_dedicated_set=','.join(map(str, dedicated)), group='compute')
        info = libvirt.HostInfo(cpu_nodes=3, cpu_sockets=1, cpu_cores=4, cpu_threads=1)
        self.start_compute(host_info=info, hostname='compute1')

    def _create(self, *vcpus, state):
        extra_spec = {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': str(len(vcpus))}
        for number, count in enumerate(vcpus):
            first = sum(vcpus[:number])
            extra_spec[f'hw:numa_cpus.{number}'] = f'{first}-{first + count - 1}'
            extra_spec[f'hw:numa_mem.{number}'] = '256'
        flavor = self._create_flavor(vcpu=sum(vcpus), memory_mb=256 * len(vcpus), extra_spec=extra_spec)
        del LINES[:]
        server = self._create_server(flavor_id=flavor, expected_state=state)
        mine = [line for line in LINES if f'[instance: {server["id"]}]' in line]
        assert mine == LINES, LINES
        return server, [line.partition('disagreement ')[2] for line in mine]

    def test_a_guest_that_nova_places_on_nothing_is_active_and_told_at_each_step(self):
        self._start((4, 4, 4))
        server, lines = self._create(1, 1, 6, state='ACTIVE')
        placed = objects.Instance.get_by_uuid(context.get_admin_context(), server['id']).numa_topology
        assert [1, 1, 0] == [len(cell.cpu_pinning or {}) for cell in placed.cells]
        steps = [line.partition(': ')[0] for line in lines]
        expected = [f'({place}, nova-fits) on compute1' for place in ('filter', 'consume', 'claim')]
        assert expected == steps, lines
        assert all('vCPUs 2-7 are pinned to nothing' in line for line in lines), lines

    def test_a_guest_that_nova_refuses_where_it_fits_is_in_error_and_told(self):
        self._start((0, 2, 1))
        _server, lines = self._create(1, 2, state='ERROR')
        assert ['(filter, nova-refuses) on compute1: Nova refuses, numaplace fits on host cells 2, 1'] == lines


def _listen():
    """Note what the tally logs, whatever Nova's tests do to logging."""
    log = shadow_report.LOG.log

    def noting(level, message, *args, **more):
        if args[0].startswith('numaplace shadow: disagreement '):
            LINES.append(f'[instance: {more.get("instance_uuid")}] {args[0]}')
        log(level, message, *args, **more)

    shadow_report.LOG.log = noting


def main(names):
    """Run our tests, or Nova's own, in shadow mode.

    :returns: 0 if all passed
    """
    configuration.find()
    our_conf.mode(conf.CONF)
    conf.CONF.set_override('mode', 'shadow', group='numaplace')
    engine.install_compute(engine.install())
    shadow = importlib.import_module('numaplace.nova.shadow')
    numa_topology_filter.NUMATopologyFilter = importlib.import_module('numaplace.nova.filter').NUMATopologyFilter
    _listen()
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names) if names else loader.loadTestsFromTestCase(ShadowTests)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    seen = shadow.TALLY
    report = {
        'run': result.testsRun,
        'decisions': seen.decisions,
        'disagreements': {' '.join(kind): count for kind, count in seen.disagreements.items()},
        'faults': {' '.join(kind): count for kind, count in seen.faults.items()},
    }
    print(json.dumps(report))  # noqa: T201 - the report
    return 0 if result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
