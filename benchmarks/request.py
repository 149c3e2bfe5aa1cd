# SPDX-License-Identifier: Apache-2.0
"""From a flavor and an image to what a guest requests."""

from __future__ import annotations

from numaplace import request
from numaplace.model import Flavor

_SPECS: dict[str, dict[str, str]] = {
    'plain': {},
    'pinned': {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2'},
    'everything': {
        'hw:cpu_policy': 'dedicated',
        'hw:cpu_thread_policy': 'require',
        'hw:emulator_threads_policy': 'isolate',
        'hw:mem_page_size': '2048',
        'hw:numa_nodes': '2',
        'hw:numa_cpus.0': '0-3',
        'hw:numa_cpus.1': '4-15',
        'hw:numa_mem.0': '2048',
        'hw:numa_mem.1': '6144',
    },
}


class Read:
    """Flavors that request nothing, the usual, and everything."""

    params = (list(_SPECS),)
    param_names = ('flavor',)
    flavor: Flavor

    def setup(self, flavor: str) -> None:
        """Make the flavor."""
        self.flavor = Flavor(flavor, 16, 8192, extra_specs=_SPECS[flavor])

    def time_read(self, _flavor: str) -> None:
        """Read it with an image that requests nothing."""
        request.read(self.flavor, {})
