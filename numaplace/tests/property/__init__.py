# SPDX-License-Identifier: Apache-2.0
"""Laws that hold for whatever hypothesis thinks of."""
