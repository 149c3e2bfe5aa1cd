# SPDX-License-Identifier: Apache-2.0
"""``numaplace db``: the tables."""

import argparse

from numaplace.cli import base

__all__ = ['UpgradeDb']


class UpgradeDb(base.Action):
    """Bring the tables of the database up to this release; an empty database gets them."""

    examples = (
        'numaplace db upgrade',
        'numaplace --database mysql+pymysql://numaplace:secret@db.example.org/numaplace db upgrade',
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Upgrade, and say at which revision the tables are."""
        from numaplace.db import api

        revision = api.upgrade(self.app.connection)
        self.app.stdout.write(f'The tables are at revision {revision}.\n')
