# SPDX-License-Identifier: Apache-2.0
"""Samples that come with numaplace: the capabilities of a real host with three NUMA cells."""
