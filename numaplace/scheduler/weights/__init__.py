# SPDX-License-Identifier: Apache-2.0
"""Weighers: each gives a host a number; hosts with higher numbers are tried first."""

from numaplace.scheduler.weights.base import Weigher, weigh

__all__ = ['Weigher', 'weigh']
