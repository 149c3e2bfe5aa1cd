# SPDX-License-Identifier: Apache-2.0
"""A small Nova of real processes on one machine: ``python -m ministack up``."""
