# SPDX-License-Identifier: Apache-2.0
"""Where a fleet comes from: the option ``--from`` and what is behind each of its values."""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import fleet_libvirt
from numaplace.libvirt.files import STREAM

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.records import InstanceRequest
    from numaplace.model.fleet import Fleet

__all__ = [
    'LIBVIRT',
    'NOVA',
    'OWN',
    'STREAM',
    'add_to',
    'known_to',
    'read_file',
    'read_nova',
    'write_file',
    'write_octets',
]

#: The sources that are databases: that of numaplace, and those of a Nova.
OWN, NOVA = 'own', 'nova'
#: The source that is many libvirts.
LIBVIRT = 'libvirt'
_PACKED = '.gz'


def known_to(fleet: Fleet, source: str, asked: InstanceRequest) -> InstanceRequest:
    """Return a request without the memory encryption and persistent memory of which a fleet says nothing."""
    if source == OWN or any(record.host.resources for record in fleet.hosts):
        return asked
    return replace(asked, guest=replace(asked.guest, resource_requests=()))


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the source."""
    parser.add_argument(
        '--from',
        dest='source',
        metavar='SOURCE',
        default=OWN,
        help=(
            f'What to look at: {OWN}, the database of numaplace (default); {NOVA}, the databases of a Nova, which the '
            f'nova.conf of --config-file names and which are only read; {LIBVIRT}, the domains of libvirt hosts; or a '
            f'file that `numaplace fleet export` wrote, where {STREAM} is standard input.'
        ),
    )

    fleet_libvirt.add_to(parser)


def read_nova(conf: cfg.ConfigOpts, *, lists_servers: bool = True) -> Fleet:
    """Read a fleet from the databases of a Nova.

    :param lists_servers: as for :func:`numaplace.novadb.read`
    :raises: :class:`~numaplace.exception.InvalidConfiguration` without ``[api_database] connection``,
        :class:`~numaplace.exception.UnknownDatabase` if that cannot be read
    """
    from numaplace import novadb

    if not conf.api_database.connection:
        raise exception.InvalidConfiguration(
            f'--from {NOVA}: [api_database] connection is not set: expected a nova.conf with it as --config-file'
        )
    return novadb.read(
        conf.api_database.connection,
        conf.database.connection,
        conf.placement_database.connection,
        default_zone=conf.default_availability_zone,
        lists_servers=lists_servers,
    )


def read_file(name: str) -> Fleet:
    """Read a fleet that was exported.

    :raises: :class:`~numaplace.exception.Invalid` for a file that is not one, with its name
    """
    from numaplace import wire
    from numaplace.wire import fleet

    try:
        octets = sys.stdin.buffer.read() if name == STREAM else Path(name).read_bytes()
        text = (gzip.decompress(octets) if name.endswith(_PACKED) else octets).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise exception.Invalid(
            f'--from {name!r}: {reason}; expected {OWN}, {NOVA}, {LIBVIRT}, or a file of `fleet export`'
        ) from None
    try:
        return fleet.read_fleet(wire.loads(text))
    except (exception.InvalidObject, exception.IncompatibleObjectVersion) as error:
        raise exception.Invalid(f'--from {name!r}: {error}; expected a file of `fleet export`') from None


def write_file(fleet: Fleet, name: str, versions: Mapping[str, str]) -> None:
    """Write a fleet to a file, which is complete or as it was before.

    :param versions: the newest versions that its reader knows, by the names of objects; those not named are ours
    :raises: :class:`~numaplace.exception.Invalid` if there is no such object or the file cannot be written,
        :class:`~numaplace.exception.IncompatibleObjectVersion` if a version cannot hold the fleet
    """
    octets = f'{_text(fleet, versions)}\n'.encode()
    # Without the time of day, so that the same fleet is the same file.
    write_octets(gzip.compress(octets, mtime=0) if name.endswith(_PACKED) else octets, name)


def _text(fleet: Fleet, versions: Mapping[str, str]) -> str:
    from numaplace import wire
    from numaplace.wire.fleet import write_fleet

    for name in versions:
        if name not in wire.SPECS:
            known = ', '.join(sorted(wire.SPECS))
            raise exception.Invalid(f'--object-version {name!r}: there is no such object; expected one of {known}')
    text = wire.dumps(write_fleet(fleet))
    if not versions:
        return text
    from numaplace import objects

    return objects.Fleet.from_json(text).to_json(versions)


def write_octets(octets: bytes, name: str) -> None:
    """Write a file, which is complete or as it was before.

    :param name: of the file; :data:`STREAM` is standard output
    :raises: :class:`~numaplace.exception.Invalid` if it cannot be written
    """
    if name == STREAM:
        sys.stdout.write(octets.decode())
        return
    path, scratch = Path(name), ''
    try:
        path = path.resolve()  # the file behind a link, not the link
        if path.exists() and not path.is_file():  # a device or a pipe is written to; it is never replaced
            path.write_bytes(octets)
            return
        descriptor, scratch = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
        with os.fdopen(descriptor, 'wb') as file:
            file.write(octets)
        os.replace(scratch, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(scratch)
        raise exception.Invalid(f'{str(path)!r} cannot be written: {error.strerror}') from None
