# SPDX-License-Identifier: Apache-2.0
"""Messages of the release before, and what its agents stored, as it wrote them."""
