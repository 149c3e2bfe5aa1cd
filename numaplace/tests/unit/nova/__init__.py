# SPDX-License-Identifier: Apache-2.0
"""The parts of `numaplace.nova` that need no Nova."""
