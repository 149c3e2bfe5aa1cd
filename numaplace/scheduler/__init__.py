# SPDX-License-Identifier: Apache-2.0
"""Choose a host for a guest: filter, weigh, claim."""
