# SPDX-License-Identifier: Apache-2.0
"""Questions about a fleet, one module each."""
