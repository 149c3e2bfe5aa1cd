# SPDX-License-Identifier: Apache-2.0
"""What libvirts say of the CPUs of their domains, reduced to a few models each.

Those with KVM are from libvirt's own recordings of real hosts, the others are of libvirt 9.0 and QEMU 7.2 on x86_64.
"""

from numaplace.libvirt import domcapabilities

__all__ = ['PLACE', 'XML', 'read']

PLACE = 'qemu:///system'

#: The CPU modes host-passthrough, maximum, host-model and custom in this order, and the models.
_SAID = {
    'x86_64 kvm': ('yes yes yes yes', {'Haswell': 'yes', 'Broadwell': 'no', 'qemu64': 'yes'}),
    'x86_64 qemu': ('no yes yes yes', {'Nehalem': 'yes', 'Haswell': 'no', 'qemu64': 'yes'}),
    'aarch64 kvm': ('yes yes no yes', {'cortex-a57': 'unknown', 'max': 'unknown'}),
    'aarch64 kvm, QEMU 2.12': ('yes no no yes', {'cortex-a57': 'unknown', 'max': 'unknown'}),
    'aarch64 qemu': ('no yes no yes', {'cortex-a57': 'unknown', 'max': 'unknown'}),
    'armv7l qemu': ('no yes no yes', {'cortex-a15': 'unknown', 'max': 'unknown'}),
    'ppc64 kvm': ('yes no yes yes', {'POWER8': 'unknown', 'POWER9': 'unknown'}),
    'ppc64le qemu': ('no no no yes', {'POWER8': 'unknown', 'POWER9': 'unknown'}),
    's390x kvm': ('yes yes yes yes', {'gen17a-base': 'yes', 'z10BC': 'no', 'max': 'yes'}),
    's390x qemu': ('no yes no yes', {'qemu': 'yes', 'max': 'yes'}),
    'riscv64 kvm': ('yes yes no no', {}),
    'riscv64 qemu': ('no no no no', {}),
}


def _document(modes: str, models: dict[str, str]) -> bytes:
    passthrough, maximum, model, custom = modes.split()
    listed = ''.join(
        f"<model usable='{usable}' vendor='unknown'>{name}</model><blockers model='{name}'/>"
        for name, usable in models.items()
    )
    return f"""\
<domainCapabilities>
  <cpu>
    <mode name='host-passthrough' supported='{passthrough}'/>
    <mode name='maximum' supported='{maximum}'/>
    <mode name='host-model' supported='{model}'><model fallback='forbid'>EPYC</model></mode>
    <mode name='custom' supported='{custom}'>{listed}</mode>
  </cpu>
</domainCapabilities>
""".encode()


XML = {name: _document(*said) for name, said in _SAID.items()}


def read(name: str) -> domcapabilities.DomainCapabilities:
    """Return what one of them says."""
    return domcapabilities.read(XML[name], PLACE)
