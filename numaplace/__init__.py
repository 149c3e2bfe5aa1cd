# SPDX-License-Identifier: Apache-2.0
"""NUMA-aware placement of virtual machines: exact, explained, and nothing handed out twice."""

__version__ = '0.1.0'
