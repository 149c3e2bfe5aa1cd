# SPDX-License-Identifier: Apache-2.0
"""What a server asks for, and the answer when no host gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace import exception, explain
from numaplace.cli import names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.db.records import FlavorRecord, InstanceRecord, InstanceRequest
    from numaplace.model import Guest
    from numaplace.request import Devices
    from numaplace.scheduler.select import NoHost

__all__ = ['IMAGE_NAME', 'add_image', 'again', 'find_flavor', 'image', 'new_server', 'read', 'refuse']

#: Where the name of an image is kept among its properties.
IMAGE_NAME = 'image_name'
#: So many flavors are named where somebody named another one.
_SHOWN = 8


def read(conf: cfg.ConfigOpts, flavor: FlavorRecord, image_properties: Mapping[str, str]) -> Guest:
    """Return what a flavor and an image ask for, with the default that the configuration gives.

    :raises: :class:`~numaplace.exception.Invalid` for a request that contradicts itself
    """
    from numaplace import request
    from numaplace.scheduler import default_numa

    guest = request.read(flavor, image_properties)
    return default_numa.single(guest) if conf.numaplace.default_guest_numa == 'single' else guest


def new_server(
    conf: cfg.ConfigOpts,
    name: str,
    flavor: FlavorRecord,
    image_properties: Mapping[str, str],
    *,
    zone: str | None,
    devices: Devices,
) -> InstanceRequest:
    """Return a server that is not there yet.

    :param devices: its own, beside those of the flavor

    :raises: as :func:`read`
    """
    from numaplace.db.records import InstanceRequest

    return InstanceRequest(
        name=name,
        flavor=flavor,
        guest=read(conf, flavor, image_properties),
        image_properties=image_properties,
        availability_zone=zone,
        devices=devices,
    )


def again(server: InstanceRecord, guest: Guest) -> InstanceRequest:
    """Return a server that is there as one that needs a host."""
    from numaplace.db.records import InstanceRequest

    return InstanceRequest(
        name=server.name,
        flavor=server.flavor,
        guest=guest,
        image_properties=server.image_properties,
        availability_zone=server.availability_zone,
        uuid=server.uuid,
    )


def find_flavor(database: Database, name: str) -> FlavorRecord:
    """Return the flavor that ``--flavor`` names.

    :raises: :class:`~numaplace.exception.NotFound`, with the names that are known
    """
    try:
        return database.flavor(name)
    except exception.NotFound as error:
        flavors = [names.shorten(flavor.name) for flavor in database.flavors()]
        more = f' and {len(flavors) - _SHOWN} more' if len(flavors) > _SHOWN else ''
        known = ', '.join(flavors[:_SHOWN]) + more
        raise exception.NotFound(
            f"--flavor '{names.shorten(name)}': there is no such flavor; known are {known or 'none'}; "
            'see `numaplace flavor create --help`'
        ) from error


def add_image(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe an image."""
    parser.add_argument('--image', metavar='IMAGE', help='Name of the image; it is kept with the server.')
    parser.add_argument(
        '--image-property',
        action='append',
        default=[],
        metavar='KEY=VALUE',
        help='Property of the image, such as hw_numa_nodes=2; may be repeated.',
    )


def image(parsed_args: argparse.Namespace) -> dict[str, str]:
    """Return the properties of the image that was described, its name among them.

    :raises: :class:`~numaplace.exception.Invalid` for a bad name or property
    """
    properties = names.pairs('--image-property', parsed_args.image_property)
    if parsed_args.image is not None:
        properties[IMAGE_NAME] = names.name('image', parsed_args.image)
    return properties


def refuse(name: str, answer: NoHost) -> exception.NoValidHost:
    """Return the error that shows for each host what was missing."""
    lines = [f"numaplace: no valid host for server '{names.shorten(name)}'" + (':' if answer.rejections else '')]
    if not answer.rejections:
        lines[0] += ': there are no hosts; take one in with `numaplace host discover` or `numaplace host import`'
    for rejection in answer.rejections:
        lines.append(f'  {names.shorten(rejection.host)} ({rejection.filter}):')
        lines += [f'    {explain.escape(line)}' for line in explain.lines(rejection.refusal)]
    return exception.NoValidHost('\n'.join(lines))
