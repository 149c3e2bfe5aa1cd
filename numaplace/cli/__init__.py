# SPDX-License-Identifier: Apache-2.0
"""The ``numaplace`` command: one file a noun."""
