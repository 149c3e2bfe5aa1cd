# SPDX-License-Identifier: Apache-2.0
"""Group ``[libvirt]``: how guests are run."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'libvirt'

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'virt_type',
        type=types.Choice('kvm', 'qemu'),
        default='kvm',
        help="""
Type of the domains whose XML is written: with hardware virtualization (kvm) or emulated (qemu).

Form: kvm or qemu.
""",
    ),
]
