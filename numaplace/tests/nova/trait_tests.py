# SPDX-License-Identifier: Apache-2.0
"""A started nova-compute over Nova's fake libvirt, and a real placement.

Run by ``python -m numaplace.tests.nova.trait_tests``.
"""

import sys
import unittest

import nova.tests.functional  # noqa: F401 - sets up threads as Nova's tests want them, before all else
from nova.compute import claims, resource_tracker
from nova.tests.functional.libvirt import base

from numaplace.nova import engine, trait
from numaplace.tests.nova import configuration


class TraitTests(base.ServersTestBase):
    def setUp(self):
        super().setUp()
        tracker = resource_tracker.ResourceTracker
        replaced = [(tracker, '_get_traits'), (tracker, '_get_usage_dict'), (claims.Claim, '_test_numa_topology')]
        self._originals = [(owner, name, getattr(owner, name)) for owner, name in replaced]
        self.addCleanup(self._restore)

    def _restore(self):
        for original in self._originals:
            setattr(*original)

    def _start(self, mode):
        """Start the compute node, or start it again, as the launcher does in a mode; None: without numaplace."""
        self._restore()
        if mode is not None:
            engine.install_compute(mode)
        if self.computes:
            self.restart_compute_service('compute1')
        else:
            self.start_compute('compute1')

    def _traits(self):
        self._run_periodics()
        return set(self._get_provider_traits(self.compute_rp_uuids['compute1']))

    def test_a_compute_node_that_enforces_has_the_trait_beside_novas_own(self):
        self._start('enforce')
        assert {trait.TRAIT, 'COMPUTE_NODE', 'OWNER_NOVA'} <= self._traits()

    def test_a_compute_node_in_shadow_mode_gives_the_trait_back_and_keeps_what_others_set(self):
        self._start('enforce')
        self._set_provider_traits(self.compute_rp_uuids['compute1'], [*self._traits(), 'STORAGE_DISK_SSD'])
        self._start('shadow')
        assert trait.TRAIT not in self._traits()
        assert {'COMPUTE_NODE', 'STORAGE_DISK_SSD'} <= self._traits()

    def test_without_numaplace_the_trait_stays_until_somebody_takes_it_away(self):
        self._start('enforce')
        self._start(None)
        assert trait.TRAIT in self._traits()


if __name__ == '__main__':
    configuration.find()
    sys.exit(not unittest.main(verbosity=2, exit=False).result.wasSuccessful())
