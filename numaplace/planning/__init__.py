# SPDX-License-Identifier: Apache-2.0
"""Plans of moves: what the solver proposes, confirmed move by move by the exact fit, and carried out by the claims."""
