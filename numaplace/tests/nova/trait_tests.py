# SPDX-License-Identifier: Apache-2.0
"""A started nova-compute over Nova's fake libvirt, and a real placement.

Run by ``python -m numaplace.tests.nova.trait_tests``.
"""

import importlib.metadata
import sys
import unittest

import nova.tests.functional  # noqa: F401 - sets up threads as Nova's tests want them, before all else
from nova.compute import resource_tracker
from nova.conf import paths
from nova.tests.functional.libvirt import base

from numaplace.nova import trait


class TraitTests(base.ServersTestBase):
    def setUp(self):
        super().setUp()
        self._get_traits = resource_tracker.ResourceTracker._get_traits
        self.addCleanup(setattr, resource_tracker.ResourceTracker, '_get_traits', self._get_traits)

    def _start(self, mode):
        """Start the compute node, or start it again, as the launcher does in a mode; None: without numaplace."""
        resource_tracker.ResourceTracker._get_traits = self._get_traits
        if mode is not None:
            trait.install(mode)
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


def _find_configuration():
    """Let Nova's fixtures find the files that the wheel has put elsewhere than a source tree has them."""
    paste = next(path for path in importlib.metadata.files('nova') if path.name == 'api-paste.ini').locate().resolve()
    (base,) = (option for option in paths.ALL_OPTS if option.name == 'pybasedir')
    base.default = str(paste.parents[2])


if __name__ == '__main__':
    _find_configuration()
    sys.exit(not unittest.main(verbosity=2, exit=False).result.wasSuccessful())
