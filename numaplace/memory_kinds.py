# SPDX-License-Identifier: Apache-2.0
"""The kinds of memory that host cells have."""

__all__ = ['CXL', 'GENERAL', 'GPU', 'HBM', 'SLOW', 'SPECIAL', 'UNKNOWN']

#: Memory of a cell that has CPUs.
GENERAL = 'general'

#: Memory of a cell without CPUs: on a CXL link, of a graphics card or an accelerator, or faster or slower than that of
#: the CPUs by the bandwidths that the firmware reports (ACPI HMAT); or none of these, as far as the source reports.
CXL, GPU, HBM, SLOW, UNKNOWN = 'cxl', 'gpu', 'hbm', 'slow', 'unknown'
SPECIAL = (CXL, GPU, HBM, SLOW, UNKNOWN)
