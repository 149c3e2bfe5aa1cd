# SPDX-License-Identifier: Apache-2.0
"""Versions of the tables."""

#: Revisions from the first to the newest, here so that opening a database does not import Alembic.
REVISIONS = ('0001', '0002', '0003')

#: Holds the revision of a database, beside our tables; Nova's own is named ``alembic_version``.
VERSION_TABLE = 'numaplace_alembic_version'
