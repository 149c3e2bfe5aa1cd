# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet mix``: which guests a fleet has, as the option ``preserve_mix`` has them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from numaplace.cli import base, fleet
from numaplace.cli import fleet_sources as sources

__all__ = ['MixFleet']

_COLUMNS = ('cells', 'cpus', 'memory_mib', 'servers', 'share_of_cpus')


class MixFleet(base.ListOf):
    """Count the servers with pinned CPUs by their cells, and by the CPUs and the memory of each cell.

    The line below the table is for numaplace.conf, or nova.conf: the strategy preserve and NUMAPreserveWeigher then
    keep places for guests like these. Guests of unlike cells count by the largest.
    """

    nothing = 'no server has pinned CPUs: a mix is made of those'
    examples = (
        'numaplace fleet mix',
        'numaplace --config-file /etc/nova/nova.conf fleet mix --from nova',
        'numaplace fleet mix --from fleet.json.gz -f json',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the source."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return a row for each kind of guest."""
        from numaplace.fleet.guest_mix import kinds

        found = kinds(fleet.read(self, parsed_args).servers)
        total = sum(cells * cpus * number for cells, cpus, _memory_mib, number in found)
        return _COLUMNS, [(*each, round(each[0] * each[1] * each[3] / total, 4)) for each in found]

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the table, and for people the line of the configuration."""
        status = int(super().produce_output(parsed_args, column_names, data))
        if parsed_args.formatter == 'table' and data:
            from numaplace.conf.types import GuestMix

            self.app.stdout.write(f'\n[numaplace]\npreserve_mix = {GuestMix.text(tuple(row[:4] for row in data))}\n')
        return status
