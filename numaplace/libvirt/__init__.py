# SPDX-License-Identifier: Apache-2.0
"""Hosts from libvirt and the kernel, and the libvirt XML of guests."""
