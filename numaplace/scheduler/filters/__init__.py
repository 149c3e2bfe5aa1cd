# SPDX-License-Identifier: Apache-2.0
"""Filters: each decides whether a host may take a guest, or why not."""

from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['Answer', 'Filter', 'Request']
