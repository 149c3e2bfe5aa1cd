# SPDX-License-Identifier: Apache-2.0
"""Tests with a real libvirt on recorded hosts and real kernels in QEMU without KVM."""
