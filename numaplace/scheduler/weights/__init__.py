# SPDX-License-Identifier: Apache-2.0
"""Weighers: each gives a host a number; hosts with more are tried first."""

from numaplace.scheduler.weights.base import Weigher, order

__all__ = ['Weigher', 'order']
