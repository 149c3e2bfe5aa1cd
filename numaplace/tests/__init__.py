# SPDX-License-Identifier: Apache-2.0
"""The tests; they run against the installed package and find their data inside it."""
