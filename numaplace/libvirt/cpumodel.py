# SPDX-License-Identifier: Apache-2.0
"""The CPU that a guest sees: mode, model and features of ``<cpu>``, as Nova writes and libvirt accepts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numaplace import exception
from numaplace.libvirt.domcapabilities import DomainCapabilities
from numaplace.libvirt.machine import KVM, QEMU, GuestMachine
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import CpuTopology, Guest

__all__ = ['GuestCpu', 'Wish', 'check_guest', 'choose']

HOST_MODEL, HOST_PASSTHROUGH, CUSTOM, NONE = 'host-model', 'host-passthrough', 'custom', 'none'

#: QEMU's model with all features that it supports.
_MAX = 'max'

#: QEMU 7.2 gives this model 32 address bits, and starts no guest above 3 GiB; its default model has 40 bits.
_WITHOUT_MAX = ('armv7l',)

#: libvirt cannot identify the CPU of such a host, so it has no host-model.
_WITHOUT_HOST_MODEL = ('aarch64', 'armv7l', 'riscv64')

#: Models of emulated guests; QEMU's default for aarch64 is a 32-bit CPU. Other architectures use the default.
_EMULATED = {'aarch64': 'cortex-a57', 'ppc64le': 'POWER8'}


@dataclass(frozen=True, slots=True)
class Wish:
    """The CPU options of the configuration.

    :param mode: ``[libvirt] cpu_mode``, or None where it is not set
    :param models: ``[libvirt] cpu_models``
    :param features: ``[libvirt] cpu_model_extra_flags``, pairs of a name and libvirt's policy, require or disable
    """

    mode: str | None = None
    models: Sequence[str] = ()
    features: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class GuestCpu:
    """The CPU that a guest sees.

    :param mode: libvirt's CPU mode, or None for QEMU's default
    :param model: only with mode custom
    :param features: pairs of a name and libvirt's policy
    :param is_known: whether libvirt knows CPUs of the architecture; otherwise it starts no guest that has a ``<cpu>``
    """

    mode: str | None = None
    model: str | None = None
    features: tuple[tuple[str, str], ...] = ()
    is_known: bool = True

    def attributes(self) -> dict[str, str]:
        """Return the attributes of ``<cpu>``."""
        attributes = {} if self.mode is None else {'mode': self.mode}
        return attributes | ({'match': 'exact'} if self.mode == CUSTOM else {})

    def model_element(self) -> Element | None:
        """Return the ``<model>`` that precedes the topology."""
        return None if self.model is None else element('model', text=self.model)

    def feature_elements(self) -> list[Element]:
        """Return the features that follow the topology."""
        return [element('feature', {'policy': policy, 'name': name}) for name, policy in self.features]


def choose(guest: GuestMachine, wish: Wish = Wish(), supported: DomainCapabilities | None = None) -> GuestCpu:
    """Return the CPU of a guest (Nova 34, `_get_guest_cpu_model_config` and `_get_guest_cpu_config`).

    Nova's default is host-model, and host-passthrough on aarch64. libvirt has no host-model for 32-bit ARM and RISC-V
    either, and supports host-passthrough only with KVM. So these get host-passthrough with KVM, and QEMU's model max
    or its default without KVM. A guest whose architecture differs from its host's gets a model of its own
    architecture. The configuration does not apply to it, because it describes CPUs of the host's architecture.

    :param supported: what the libvirt that gets the domain supports, or None if it is not known
    :raises: :class:`~numaplace.exception.InvalidConfiguration` for a mode, a model or features that libvirt refuses
    """
    if guest.domain_type not in (KVM, QEMU):
        return GuestCpu()
    if supported is not None and not supported.knows_cpus:
        return GuestCpu(is_known=False)
    if guest.emulated:
        return _emulated(guest, supported)
    if wish.mode is None:
        return _with_features(_default(guest, supported), guest, wish)
    if wish.mode == NONE:
        return GuestCpu()
    _check_mode(wish.mode, guest, supported)
    model = _model(wish.models, guest, supported) if wish.mode == CUSTOM else None
    return _with_features(GuestCpu(wish.mode, model), guest, wish)


def check_guest(cpu: GuestCpu, guest: Guest, arch: str, who: str) -> None:
    """Make sure that a guest whose CPUs libvirt does not know needs no ``<cpu>``, which holds cells and topology.

    :param arch: architecture of the guest
    :param who: the guest or its source, for the error
    :raises: :class:`~numaplace.exception.MachineLimitExceeded`
    """
    usual = guest.cpu_topology in (None, CpuTopology(guest.most_vcpus))
    if not cpu.is_known and (len(guest.cells) > 1 or not usual):
        raise exception.MachineLimitExceeded(
            f'{who}: its libvirt has no CPU driver for {arch}, and starts no guest there that sees NUMA cells, cores '
            'or threads: expected at most one cell, and a socket for each vCPU'
        )


def _emulated(guest: GuestMachine, supported: DomainCapabilities | None) -> GuestCpu:
    model = _EMULATED.get(guest.arch)
    if model is None or (supported is not None and model not in supported.models):
        return GuestCpu()
    return GuestCpu(CUSTOM, model)


def _with_features(cpu: GuestCpu, guest: GuestMachine, wish: Wish) -> GuestCpu:
    if not wish.features:
        return cpu
    if cpu.mode is None:
        raise exception.InvalidConfiguration(
            f'[libvirt] cpu_model_extra_flags: libvirt has no CPU mode for a {guest.domain_type} guest of {guest.arch} '
            'to which flags could be added: expected none'
        )
    return GuestCpu(cpu.mode, cpu.model, tuple(wish.features))


def _known_modes(guest: GuestMachine) -> list[str]:
    """Return the modes that libvirt may support for a guest of the host's own architecture, the usual one first."""
    modes = [] if guest.arch in _WITHOUT_HOST_MODEL else [HOST_MODEL]
    return modes + ([HOST_PASSTHROUGH] if guest.domain_type == KVM else [])


def _default(guest: GuestMachine, supported: DomainCapabilities | None) -> GuestCpu:
    if supported is None:
        modes = _known_modes(guest)
        has_max = guest.arch == 'aarch64'
    else:
        modes = [mode for mode in (*_known_modes(guest), HOST_MODEL) if mode in supported.modes]
        has_max = CUSTOM in supported.modes and supported.models.get(_MAX, False) and guest.arch not in _WITHOUT_MAX
    if modes:
        return GuestCpu(modes[0])
    return GuestCpu(CUSTOM, _MAX) if has_max else GuestCpu()


def _check_mode(mode: str, guest: GuestMachine, supported: DomainCapabilities | None) -> None:
    known = [*_known_modes(guest), CUSTOM] if supported is None else _configurable(supported)
    if mode not in known:
        who = 'libvirt' if supported is None else f'the libvirt at {supported.place}'
        raise exception.InvalidConfiguration(
            f'[libvirt] cpu_mode = {mode}: {who} does not support it for a {guest.domain_type} guest of {guest.arch}: '
            f'expected one of {", ".join([*known, NONE])}'
        )


def _configurable(supported: DomainCapabilities) -> list[str]:
    return [mode for mode in (HOST_MODEL, HOST_PASSTHROUGH, CUSTOM) if mode in supported.modes]


def _model(models: Sequence[str], guest: GuestMachine, supported: DomainCapabilities | None) -> str:
    """Return the first model, which is the one that most hosts have, as libvirt spells it."""
    wanted = models[0]
    if supported is None:
        return wanted
    spelled = {name.lower(): name for name in supported.models}
    found = spelled.get(wanted.lower())
    if found is None or not supported.models[found]:
        usable = [name for name, is_usable in sorted(supported.models.items()) if is_usable]
        what = 'is not known to' if found is None else 'cannot be run by'
        raise exception.InvalidConfiguration(
            f'[libvirt] cpu_models = {",".join(models)}: {wanted} {what} the libvirt at {supported.place} for a '
            f'{guest.domain_type} guest of {guest.arch}: expected one of {", ".join(usable) or "none"}'
        )
    return found
