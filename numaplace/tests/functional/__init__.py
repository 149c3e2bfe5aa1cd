# SPDX-License-Identifier: Apache-2.0
"""Tests with the real thing: databases, libvirt's programs, the command."""
