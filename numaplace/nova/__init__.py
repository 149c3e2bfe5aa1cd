# SPDX-License-Identifier: Apache-2.0
"""What a real Nova loads."""
