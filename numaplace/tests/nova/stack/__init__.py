# SPDX-License-Identifier: Apache-2.0
"""A whole Nova whose scheduler and computes decide by numaplace."""
