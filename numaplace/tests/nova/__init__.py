# SPDX-License-Identifier: Apache-2.0
"""numaplace beside a real Nova 34: the same questions to both, and each disagreement has a known cause."""
