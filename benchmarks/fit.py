# SPDX-License-Identifier: Apache-2.0
"""The fit: of hosts and guests not seen before, and of the same ones again."""

from __future__ import annotations

from benchmarks import inputs
from numaplace import fit
from numaplace.model import DEDICATED, SHARED, Guest, Host, Networks

GUEST_CELLS, HOST_CELLS = [1, 2, 4, 8], [1, 2, 4, 8, 16]


class _Case:
    """One guest on one host; `number` is 1 because only one call can be the first."""

    number = 1
    warmup_time = 0
    host: Host
    guest: Guest
    fresh_host: Host
    fresh_guest: Guest
    networks: Networks | None = None

    def _take(self, host: Host, guest: Guest, networks: Networks | None = None) -> None:
        self.host, self.guest, self.networks = host, guest, networks
        fit.place(host, guest, networks=networks)
        self.fresh_host, self.fresh_guest = inputs.unseen(host), inputs.unseen_guest(guest)

    def _fresh(self) -> None:
        fit.place(self.fresh_host, self.fresh_guest, networks=self.networks)

    def _repeated(self) -> None:
        fit.place(self.host, self.guest, networks=self.networks)


class Typical(_Case):
    """Small guests on hosts of every usual size, half full."""

    params = (GUEST_CELLS, HOST_CELLS, [DEDICATED, SHARED])
    param_names = ('guest_cells', 'host_cells', 'policy')

    def setup(self, guest_cells: int, host_cells: int, policy: str) -> None:
        """Make the host and the guest; if the guest has more cells, there is nothing to measure."""
        if guest_cells > host_cells:
            raise NotImplementedError
        half_full = inputs.host(host_cells, half_full=range(host_cells))
        self._take(half_full, inputs.guest(guest_cells, policy=policy))

    def time_fresh(self, *_params: object) -> None:
        """Place on a host from which nothing is derived yet."""
        self._fresh()

    def time_repeated(self, *_params: object) -> None:
        """Place the same guest on the same host again."""
        self._repeated()


class Joint(_Case):
    """Unequal guest cells that fit in one way only; each greedy step is wrong."""

    params = ([8, 16, 32, 64],)
    param_names = ('cells',)

    def setup(self, cells: int) -> None:
        """Make a host with cells of falling size and a guest with the same number of cells, of growing size."""
        self._take(inputs.falling(cells), inputs.guest(cells, memory_gib=range(1, cells + 1)))

    def time_fresh(self, *_params: object) -> None:
        """Place on a host from which nothing is derived yet."""
        self._fresh()

    def time_repeated(self, *_params: object) -> None:
        """Place the same guest on the same host again."""
        self._repeated()


class Closest:
    """Half as many equal guest cells as there are host cells, each at a distance of its own from all others."""

    number = 1
    warmup_time = 0
    params = ([8, 16], [0, 1, 2])
    param_names = ('host_cells', 'seed')
    host: Host
    guest: Guest

    def setup(self, host_cells: int, seed: int) -> None:
        """Draw the distances, with which no two host cells are alike."""
        self.host = inputs.unseen(inputs.far(inputs.host(host_cells), seed))
        self.guest = inputs.guest(host_cells // 2)

    def time_closest(self, *_params: object) -> None:
        """Choose the host cells with the least sum of distances."""
        fit.place(self.host, self.guest, strategy=fit.CLOSEST)


class Affinity(_Case):
    """32 guest cells on 64 host cells, with networks near the cells that are tried last."""

    params = ([1, 2, 3, 4],)
    param_names = ('physnets',)

    def setup(self, physnets: int) -> None:
        """Scatter the networks, with their number as the seed."""
        host, networks = inputs.hard_networks(physnets, physnets=physnets, near=4)
        self._take(host, inputs.guest(32), networks)

    def time_fresh(self, *_params: object) -> None:
        """Place on a host from which nothing is derived yet."""
        self._fresh()
