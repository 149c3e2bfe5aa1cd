# SPDX-License-Identifier: Apache-2.0
"""Tests of numaplace.libvirt against libvirt's own schemas and programs."""
