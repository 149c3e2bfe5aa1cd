# SPDX-License-Identifier: Apache-2.0
"""What libvirt and the kernel say about hosts, and what libvirt is told about guests."""
