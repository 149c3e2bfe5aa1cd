# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: classes for asv and for ``python -m benchmarks``, the comparison with Nova, and the growth."""
