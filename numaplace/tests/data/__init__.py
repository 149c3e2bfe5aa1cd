# SPDX-License-Identifier: Apache-2.0
"""Data of the tests, read with importlib.resources."""
