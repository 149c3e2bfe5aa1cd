# SPDX-License-Identifier: Apache-2.0
"""The programs that run by themselves: the scheduler, and the agent of a host."""
