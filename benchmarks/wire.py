# SPDX-License-Identifier: Apache-2.0
"""Nova's JSON to the model and back."""

from __future__ import annotations

from typing import Any

from benchmarks import inputs
from numaplace import fit, wire
from numaplace.model import Host, Placement


class Hosts:
    """Hosts of every usual size, half full."""

    params = ([1, 2, 4, 8, 16, 64],)
    param_names = ('host_cells',)
    host: Host
    text: str
    data: dict[str, Any]

    def setup(self, cells: int) -> None:
        """Make the host and its JSON."""
        self.host = inputs.host(cells, half_full=range(cells))
        self.text = inputs.text(self.host)
        self.data = wire.loads(self.text)

    def time_loads(self, _cells: int) -> None:
        """Only parse the JSON: the minimum cost of reading."""
        wire.loads(self.text)

    def time_read_host(self, _cells: int) -> None:
        """Read what was parsed."""
        wire.read_host(self.data)

    def time_write_host(self, _cells: int) -> None:
        """Write the primitive."""
        wire.write_host(self.host)


class Placements:
    """Placed guests as they are stored with a server."""

    params = ([1, 2, 8],)
    param_names = ('guest_cells',)
    host: Host
    placement: Placement
    data: dict[str, Any]

    def setup(self, cells: int) -> None:
        """Place a guest and write it."""
        self.host = inputs.host(cells)
        placement = fit.place(self.host, inputs.guest(cells))
        if not isinstance(placement, Placement):
            raise TypeError('the guest does not fit')
        self.placement = placement
        self.data = wire.write_placement(placement)

    def time_read_placement(self, _cells: int) -> None:
        """Read what was parsed."""
        wire.read_placement(self.data, self.host)

    def time_write_placement(self, _cells: int) -> None:
        """Write the primitive."""
        wire.write_placement(self.placement)
