# SPDX-License-Identifier: Apache-2.0
"""The services as processes, on real databases, a real bus and a real libvirt."""
