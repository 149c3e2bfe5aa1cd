# SPDX-License-Identifier: Apache-2.0
"""Read the databases of a Nova from outside, with SELECT alone and without importing Nova."""

from numaplace.novadb.reading import read

__all__ = ['read']
