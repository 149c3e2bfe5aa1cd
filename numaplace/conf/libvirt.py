# SPDX-License-Identifier: Apache-2.0
"""Group ``[libvirt]``: how guests are run."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'libvirt'

_GOVERNOR = """
Nova's option for the governor strategy: the governor of {which}. numaplace does not change governors.

Form: name of a governor of the kernel.
"""

CPU_MODES = ('host-model', 'host-passthrough', 'custom', 'none')

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'virt_type',
        type=types.Choice('kvm', 'qemu'),
        default='kvm',
        help="""
Type of the domains whose XML is written: with hardware virtualization (kvm) or emulated (qemu).

A guest of another architecture than its host is always emulated. Nova's values lxc and parallels are refused: their
domains have no NUMA cells.

Form: kvm or qemu.
""",
    ),
    cfg.StrOpt(
        'connection_uri',
        default='',
        help="""
The libvirt that the agent ``numaplace-compute`` asks. If it is empty, that is the one of the machine.

Form: a URI such as ``qemu:///system``.
""",
    ),
    cfg.Opt(
        'cpu_power_management',
        type=types.Switch(),
        default=False,
        help="""
nova-compute saves power on CPUs of ``[compute] cpu_dedicated_set`` that no guest holds. With the strategy cpu_state
they need not be online when a host is registered, only present.

Form: true or false.
""",
    ),
    cfg.Opt(
        'cpu_power_management_strategy',
        type=types.Choice('cpu_state', 'governor'),
        default='cpu_state',
        help="""
How power is saved on CPUs: by taking them offline (cpu_state), or by another governor (governor), for which all of
them must be online.

Form: cpu_state or governor.
""",
    ),
    cfg.StrOpt('cpu_power_governor_low', default='powersave', help=_GOVERNOR.format(which='a CPU that no guest holds')),
    cfg.StrOpt('cpu_power_governor_high', default='performance', help=_GOVERNOR.format(which='a CPU of a guest')),
    cfg.Opt(
        'cpu_mode',
        type=types.Choice(*CPU_MODES),
        help="""
CPU that guests see: the host's by name and features (host-model), just the host's (host-passthrough), that of
``cpu_models`` (custom), or QEMU's default (none).

The default is host-model, and host-passthrough on architectures for which libvirt has no host-model (aarch64, armv7l,
riscv64). With ``virt_type = qemu``, guests of these architectures see everything that QEMU has (model max, aarch64), or
its default. Guests of another architecture than their host see a model of their own architecture, whatever is set.

Form: host-model, host-passthrough, custom or none.
""",
    ),
    cfg.Opt(
        'cpu_models',
        type=types.CpuModels(),
        default=(),
        deprecated_name='cpu_model',
        help="""
CPU models that guests may see, beginning with the one that most hosts have; this one is written. Requires ``cpu_mode =
custom``.

Form: names as ``virsh cpu-models ARCH`` prints them, separated by commas.
""",
    ),
    cfg.Opt(
        'cpu_model_extra_flags',
        type=types.CpuFlags(),
        default=(),
        help="""
CPU features that guests see (flag or +flag) or do not see (-flag), regardless of the mode or the model. Conflicts with
``cpu_mode = none``.

Form: names of libvirt's features, in any case, such as ``-pdpe1gb, +vmx, pcid``.
""",
    ),
    cfg.Opt(
        'num_memory_encrypted_guests',
        type=types.Integer(0),
        help="""
The most guests of a host whose memory may be encrypted with AMD SEV at once, if that is fewer than the host reports
(``maxGuests`` of ``virsh domcapabilities``). Nova removed the option in release 34.

Form: a whole number.
""",
    ),
    cfg.Opt(
        'pmem_namespaces',
        type=types.PmemNamespaces(),
        default=(),
        help="""
Namespaces of persistent memory (mode devdax) that guests may have, with the label under which flavors request one, as
in ``hw:pmem=6GB``. A host has those of them that its source reports: see ``numaplace host discover`` and ``numaplace
host import --ndctl``.

Form: ``LABEL:NAME|NAME`` groups, separated by commas, such as ``6GB:ns0|ns1,LARGE:ns3``. A namespace has its name from
``ndctl create-namespace --name``.
""",
    ),
    cfg.Opt(
        'hw_machine_type',
        type=types.Machines(),
        default=(),
        help="""
Machine types of guests whose image has no ``hw_machine_type``, by architecture. The defaults are q35 (x86_64 and i686),
virt (aarch64, armv7l and riscv64), pseries (ppc64 and ppc64le) and s390-ccw-virtio (s390x).

Form: ``ARCH=MACHINE`` pairs, separated by commas, such as ``x86_64=pc-q35-8.2,aarch64=virt-8.2``.
""",
    ),
]
