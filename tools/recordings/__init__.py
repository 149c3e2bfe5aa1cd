# SPDX-License-Identifier: Apache-2.0
"""Trees of ``/sys`` from libvirt's tests, compared with what libvirt reads from them."""
