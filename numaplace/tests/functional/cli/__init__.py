# SPDX-License-Identifier: Apache-2.0
"""The commands, run as a user runs them."""
