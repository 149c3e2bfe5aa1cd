# SPDX-License-Identifier: Apache-2.0
"""What commands and services do alike: read and store hosts, compare domains, read requests and carry them out."""
