# SPDX-License-Identifier: Apache-2.0
"""The parts of the room for Nova that need no Nova."""
