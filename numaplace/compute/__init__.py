# SPDX-License-Identifier: Apache-2.0
"""Claims on hosts and the usage that they make."""
