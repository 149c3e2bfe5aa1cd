# SPDX-License-Identifier: Apache-2.0
"""Rows of the page that the walk-through follows."""
