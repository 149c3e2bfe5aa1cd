# SPDX-License-Identifier: Apache-2.0
"""What stands for devstack where its plugin is tested."""
