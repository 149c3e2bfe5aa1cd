# SPDX-License-Identifier: Apache-2.0
"""The options that describe a server, and its flavor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from numaplace.db.api import Database
    from numaplace.model import Flavor

__all__ = [
    'IMAGE_NAME',
    'add_all_hosts',
    'add_image',
    'find_flavor',
    'image',
    'properties_of',
    'unknown_flavor',
]

#: The property that holds the name of an image.
IMAGE_NAME = 'image_name'
#: Most flavors that the error for an unknown flavor names.
_SHOWN = 8


def find_flavor(database: Database, name: str) -> Flavor:
    """Return the flavor that ``--flavor`` names.

    :raises: :class:`~numaplace.exception.NotFound`, with the known names
    """
    try:
        return database.flavor(name)
    except exception.NotFound as error:
        raise unknown_flavor(name, database.flavors({})) from error


def unknown_flavor(name: str, flavors: Sequence[Flavor], option: str = '--flavor') -> exception.NotFound:
    """Return the error for a flavor that does not exist, with the names of those that do."""
    more = f' and {len(flavors) - _SHOWN} more' if len(flavors) > _SHOWN else ''
    known = ', '.join([names.shorten(flavor.name) for flavor in flavors[:_SHOWN]]) + more
    return exception.NotFound(
        f"{option} '{names.shorten(name)}': there is no such flavor; known flavors: {known or 'none'}; "
        'see `numaplace flavor create --help`'
    )


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
    """Return the properties of the described image, including its name.

    :raises: :class:`~numaplace.exception.Invalid` for a bad name or property
    """
    properties = properties_of(parsed_args)
    if parsed_args.image is not None:
        properties[IMAGE_NAME] = names.name('image', parsed_args.image)
    return properties


def properties_of(parsed_args: argparse.Namespace) -> dict[str, str]:
    """Return what ``--image-property`` gives, by the names of today; errors as :func:`image`."""
    from numaplace.request import image_names

    return image_names.current(names.pairs('--image-property', parsed_args.image_property))


def add_all_hosts(parser: argparse.ArgumentParser) -> None:
    """Add the option that shows the reasons of every host."""
    parser.add_argument(
        '--all-hosts',
        action='store_true',
        help='If no host takes the server, show the reasons of each host (default: equal reasons once, those of the '
        'nearest hosts first, and the number of other hosts).',
    )
