# SPDX-License-Identifier: Apache-2.0
"""Claims under races, crashes and faults: nothing is handed out twice, nothing is lost."""
