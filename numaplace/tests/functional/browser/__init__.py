# SPDX-License-Identifier: Apache-2.0
"""The map of a fleet in a real browser."""
