# SPDX-License-Identifier: Apache-2.0
"""Real libvirt and real kernels on machines that this one is not: no KVM, no second NUMA node."""
