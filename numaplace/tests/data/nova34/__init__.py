# SPDX-License-Identifier: Apache-2.0
"""Cases with the answers of Nova 34.0.0: a sample of every fifth, weak ones, devices, and its tables of conflicts."""
