# SPDX-License-Identifier: Apache-2.0
"""What a server requests of the hosts, and the error if no host takes it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from numaplace import exception, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oslo_config import cfg

    from numaplace.db.records import InstanceRequest
    from numaplace.model import Devices, Flavor, Guest
    from numaplace.model.records import InstanceRecord
    from numaplace.scheduler.claiming import NoHost, Rejection

__all__ = [
    'NO_SCHEDULING',
    'Scheduling',
    'again',
    'ask',
    'check_keys',
    'new_server',
    'read',
    'read_again',
    'refuse',
]

#: Hosts whose reasons are found without being asked for; with more, only counts are about all of them.
MOST_HOSTS = 1000


class Scheduling(TypedDict):
    """What a request has besides its guest; see :class:`numaplace.db.records.InstanceRequest`."""

    project: str | None
    hints: Mapping[str, tuple[str, ...]]
    group: str | None


#: Of a request without any.
NO_SCHEDULING: Scheduling = {'project': None, 'hints': {}, 'group': None}


def read(conf: cfg.ConfigOpts, flavor: Flavor, image_properties: Mapping[str, str], *, with_pci: bool = True) -> Guest:
    """Return what a flavor and an image request, with the default of the configuration.

    :param with_pci: with the PCI devices, whose aliases the configuration has to define

    :raises: :class:`~numaplace.exception.Invalid` for a contradictory request
    """
    from numaplace import request
    from numaplace.pci_specs import join_aliases
    from numaplace.request.pci import ALIAS_KEY
    from numaplace.scheduler import default_numa

    guest = request.read(flavor, image_properties)
    if conf.numaplace.default_guest_numa == 'single':
        guest = default_numa.single(guest)
    _check_machine(conf, flavor, image_properties, guest)
    if with_pci and ALIAS_KEY in flavor.extra_specs:
        aliases = join_aliases(conf.pci.alias or ())
        guest = replace(guest, pci_requests=request.pci_requests(flavor, image_properties, aliases))
    return guest


def check_keys(flavor: Flavor | None, image_properties: Mapping[str, str] | None = None) -> None:
    """Refuse what a new request asks for and numaplace cannot provide, and values that Nova does not accept.

    Call it after :func:`read`, which says more of a bad value. What is stored, or comes from a Nova, is not checked:
    Nova provides all of it.

    :param flavor: None where the image alone is new
    :raises: :class:`~numaplace.exception.InvalidRequest`, :class:`~numaplace.exception.UnsupportedRequest`
    """
    from numaplace.request import verdicts

    if faults := list(verdicts.bad_values(flavor, image_properties)):
        raise exception.InvalidRequest('; '.join(faults))
    if reasons := list(verdicts.unsupported(flavor, image_properties)):
        raise exception.UnsupportedRequest('; '.join(map(explain.sentence, reasons)))


def _check_machine(conf: cfg.ConfigOpts, flavor: Flavor, image_properties: Mapping[str, str], guest: Guest) -> None:
    """Refuse a guest that no host can run, as far as flavor and image alone determine its machine type.

    :raises: :class:`~numaplace.exception.MachineLimitExceeded`, and as :func:`numaplace.request.viommu.resolve`,
        :func:`numaplace.request.tuning`, :func:`numaplace.request.devices` and :func:`numaplace.request.hotplug`
    """
    from numaplace import request
    from numaplace.request import machines
    from numaplace.request.viommu import resolve

    hotplug, tuning = request.hotplug(flavor), request.tuning(flavor, image_properties)
    near = request.devices(flavor).near_place
    machine = machines.of_host(image_properties, {}, conf.libvirt.hw_machine_type)
    if machine is None:
        return
    addresses = tuning.address_mode is not None
    for reason in machines.reasons(guest, machine, hotplug, near=near, pmu=tuning.pmu, addresses=addresses):
        raise exception.MachineLimitExceeded(f'flavor {flavor.name!r}: {explain.sentence(reason)}')
    resolve(request.viommu(flavor, image_properties), guest, machine)


def ask(conf: cfg.ConfigOpts, uri: str, flavor: Flavor, image_properties: Mapping[str, str], guest: Guest) -> None:
    """Make sure that the libvirt at a URI can start a guest, as far as that is known before it has a host.

    :raises: :class:`~numaplace.exception.MachineLimitExceeded`, :class:`~numaplace.exception.LibvirtError`, and the
        faults of :func:`numaplace.libvirt.machine.choose`
    """
    from numaplace.libvirt import capabilities, connection, cpumodel, machine
    from numaplace.operations import domain_xml

    arch = capabilities.facts(connection.capabilities_at(uri), place=uri).arch
    chosen = machine.choose(image_properties, uri, arch, conf.libvirt.virt_type, conf.libvirt.hw_machine_type)
    who, libvirt = f'flavor {flavor.name!r}', connection.Libvirt(uri)
    domain_xml.check_support(who, guest, chosen, libvirt)
    supported = libvirt.domain_capabilities(chosen.arch, chosen.domain_type, chosen.machine)
    cpumodel.check_guest(cpumodel.choose(chosen, supported=supported), guest, chosen.arch, who)


def new_server(
    conf: cfg.ConfigOpts,
    name: str,
    flavor: Flavor,
    image_properties: Mapping[str, str],
    *,
    zone: str | None,
    devices: Devices,
    scheduling: Scheduling,
    with_pci: bool = True,
) -> InstanceRequest:
    """Return a server that is not stored yet.

    :param devices: its own, in addition to those of the flavor
    :param scheduling: its project, its hints and its group
    :param with_pci: as for :func:`read`
    :raises: as :func:`read`
    """
    from numaplace import request
    from numaplace.db.records import InstanceRequest

    guest = read(conf, flavor, image_properties, with_pci=with_pci)
    return InstanceRequest(
        name=name,
        flavor=flavor,
        guest=request.with_networks(guest, flavor, image_properties, devices) if with_pci else guest,
        image_properties=image_properties,
        availability_zone=zone,
        devices=devices,
        **scheduling,
    )


def read_again(
    conf: cfg.ConfigOpts, server: InstanceRecord, flavor: Flavor | None = None, *, with_pci: bool = True
) -> Guest:
    """Return what a stored server requests, with the devices of its own NICs.

    :param flavor: its new one, or None
    :param with_pci: as for :func:`read`
    :raises: as :func:`read`
    """
    from numaplace import request

    flavor, image_properties = flavor or server.flavor, server.image_properties
    guest = read(conf, flavor, image_properties, with_pci=with_pci)
    return request.with_networks(guest, flavor, image_properties, server.devices) if with_pci else guest


def again(server: InstanceRecord, guest: Guest) -> InstanceRequest:
    """Return a stored server as a request for a host."""
    from numaplace.db.records import InstanceRequest

    return InstanceRequest(
        name=server.name,
        flavor=server.flavor,
        guest=guest,
        image_properties=server.image_properties,
        availability_zone=server.availability_zone,
        uuid=server.uuid,
        devices=server.devices,
        project=server.project,
        hints=server.hints,
        group=server.group,
    )


def refuse(name: str, answer: NoHost, *, all_hosts: bool = False) -> exception.NoValidHost:
    """Return the error that shows what the hosts lack.

    :param all_hosts: whether each host has its own lines
    """
    head = f"numaplace: no valid host for server '{explain.shorten(name)}'"
    nearest = answer.rejections if all_hosts else answer.first(MOST_HOSTS + 1)
    if not nearest:
        return exception.NoValidHost(
            f'{head}: there are no hosts; register one with `numaplace host discover` or `numaplace host import`', list
        )
    is_part = not all_hosts and len(nearest) > MOST_HOSTS
    if is_part:
        nearest = nearest[:MOST_HOSTS]
    refusals = [explain.HostRefusal(each.host, each.filter, each.refusal) for each in nearest]
    plain = partial(explain.plain, refusals)
    counts = explain.plain_counts(answer.counts)
    if not is_part and (cause := _one_machine(nearest)):
        return exception.NoValidHost(f'{head}: {cause}', plain, counts)
    lines = explain.grouped(refusals, each=all_hosts, hint='; --all-hosts shows each')
    if is_part:
        lines.insert(0, f'of {MOST_HOSTS} hosts, those that are nearest; --all-hosts looks at the others too')
    if is_part or (len(refusals) >= explain.MANY_HOSTS and len(answer.counts) > 1):
        lines.insert(0, explain.counted(answer.counts))
    return exception.NoValidHost('\n  '.join((f'{head}:', *lines)), plain, counts)


def _one_machine(rejections: Sequence[Rejection]) -> str:
    """Return why the machine type excludes the guest from each host, if the reason is the same; otherwise nothing."""
    causes = {tuple(explain.lines(rejection.refusal)) for rejection in rejections}
    codes = {reason.code for rejection in rejections for reason in rejection.refusal.reasons}
    alike = len(causes) == 1 and all(code.startswith('machine.') for code in codes)
    return '; '.join(map(explain.escape, causes.pop())) if alike else ''
