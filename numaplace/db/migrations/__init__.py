# SPDX-License-Identifier: Apache-2.0
"""Versions of the tables."""

#: Revisions from the oldest to the newest; they are here so that opening a database does not import Alembic.
REVISIONS = ('0001', '0002', '0003', '0004', '0005', '0006', '0007', '0008', '0009', '0010', '0011', '0012')

#: The table with the revision of a database, next to our tables; Nova's own is named ``alembic_version``.
VERSION_TABLE = 'numaplace_alembic_version'
