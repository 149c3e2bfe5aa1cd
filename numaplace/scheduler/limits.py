# SPDX-License-Identifier: Apache-2.0
"""How far a host may be overcommitted."""

from numaplace.db.capacity import limits

__all__ = ['limits']
