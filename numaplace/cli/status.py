# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of commands."""

__all__ = ['DONE', 'FAULT', 'NO_VALID_HOST', 'USAGE']

DONE, FAULT, USAGE, NO_VALID_HOST = 0, 1, 2, 3
