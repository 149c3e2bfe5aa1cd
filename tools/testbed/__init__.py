# SPDX-License-Identifier: Apache-2.0
"""Real libvirt and real kernels on other machines than this one, without KVM or a second NUMA node here."""
