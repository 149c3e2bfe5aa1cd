# SPDX-License-Identifier: Apache-2.0
"""Filters, weighers and the choice of a host."""
