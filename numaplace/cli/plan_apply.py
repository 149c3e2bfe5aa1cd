# SPDX-License-Identifier: Apache-2.0
"""Carry out a plan in the database of numaplace, step by step; what is made stays, and is left out the next time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import progress
from numaplace.model.records import MIGRATION, RESIZED

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.cli.main import App
    from numaplace.db.api import Database
    from numaplace.fleet.plan import Step

__all__ = ['carry_out']


def carry_out(app: App, conf: cfg.ConfigOpts, database: Database, steps: Sequence[Step]) -> int:
    """Make the moves of a plan through the claims, and return how many are made now.

    A cold migration is confirmed at once: what the server held before is free for the next moves.

    :raises: :class:`~numaplace.exception.Conflict` for the first server that is not as the plan has it, or that its
        destination refuses; moves that were made stay
    """
    from numaplace.fleet import plan

    made = 0

    def left() -> str:
        return f'{made} moves are made and stay; the same plan goes on with the next'

    with progress.shown(app, 'moves', len(steps)) as bar, progress.told_early(app, left):
        for number, (step, later) in enumerate(plan.with_later(steps), 1):
            try:
                made += _make(conf, database, step, later)
            except exception.NumaplaceException as error:
                raise exception.Conflict(
                    f'move {number} of {len(steps)}, server {step.name!r} from {step.source!r} to '
                    f'{step.destination!r}: {" ".join(str(error).removeprefix("numaplace: ").split())}; {left()}'
                ) from error
            bar.advance()
    return made


def _make(conf: cfg.ConfigOpts, database: Database, step: Step, later: Sequence[str]) -> bool:
    """Make a move; return whether it was not made before."""
    from numaplace.compute import migration
    from numaplace.operations.servers import MOVES, Direct

    server = database.instance(step.server)
    move = server.move
    if server.host in (step.destination, *later) and (move is None or move.has_ended):
        return False
    if (
        server.vm_state == RESIZED
        and move is not None
        and (move.old.host, move.new.host)
        == (
            step.source,
            step.destination,
        )
    ):
        migration.confirm(database, server.uuid, move.uuid)
        return True
    if server.host != step.source:
        raise exception.Conflict(f'it is on {server.host!r}: expected {step.source!r}')
    moved = Direct(conf).do(database, MOVES[step.kind], server.uuid, host=step.destination)
    if step.kind == MIGRATION:
        migration.confirm(database, server.uuid, moved.move.uuid if moved.move else None)
    return True
