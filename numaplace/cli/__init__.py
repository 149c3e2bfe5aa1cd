# SPDX-License-Identifier: Apache-2.0
"""The ``numaplace`` command: one file for each noun."""
