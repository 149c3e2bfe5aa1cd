# SPDX-License-Identifier: Apache-2.0
"""A fleet that is read from libvirt: from its daemons, or from saved files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import names, progress
from numaplace.operations import host_records, sources

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.cli.main import App
    from numaplace.libvirt.fleet_reading import HostDomains
    from numaplace.model.fleet import Fleet, Unread
    from numaplace.model.records import HostRecord

__all__ = ['add_to', 'given', 'read']

_CAPABILITIES, _DOMAINS, _CONFIGURATION = 'capabilities.xml', 'domains', 'numaplace.conf'
#: So many libvirts are asked at the same time.
_AT_ONCE = 8


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the libvirts."""
    which = parser.add_argument_group('with --from libvirt')
    which.add_argument(
        '--connect',
        action='append',
        default=[],
        metavar='URI',
        help='A libvirt to ask, such as qemu+ssh://root@compute1/system; may be repeated.',
    )
    which.add_argument('--uris', metavar='FILE', help='File with such a URI in each line; - is standard input.')
    which.add_argument(
        '--directory',
        metavar='DIR',
        help=f'Directory with saved files: HOST/{_CAPABILITIES}, HOST/{_DOMAINS}/*.xml, and HOST/{_CONFIGURATION} for '
        'the CPU sets of that host.',
    )


def given(parsed_args: argparse.Namespace) -> bool:
    """Return whether any of these options is given."""
    return bool(parsed_args.connect or parsed_args.uris or parsed_args.directory)


def read(app: App, parsed_args: argparse.Namespace) -> Fleet:
    """Read the fleet; hosts that cannot be read are named on stderr, and the others go on.

    :raises: :class:`~numaplace.exception.Invalid` if nothing is named, or cannot be opened
    """
    from numaplace.libvirt import fleet_reading

    uris = [*parsed_args.connect, *_lines(parsed_args.uris)]
    if bool(uris) == (parsed_args.directory is not None):
        raise exception.Invalid('--from libvirt: expected --connect or --uris, or else --directory')
    hosts: list[HostDomains] = []
    faults: list[Unread] = []
    for answer in _ask(app, uris) if uris else _saved(app.conf, Path(parsed_args.directory)):
        if isinstance(answer, fleet_reading.HostDomains):
            hosts.append(answer)
        else:
            faults.append(answer)
            app.complain(f"'{names.shorten(answer.key)}' cannot be read: {answer.fault}")
    return fleet_reading.fleet(sorted(hosts, key=lambda one: one.record.name), faults)


def _lines(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        text = sys.stdin.read() if path == '-' else Path(path).read_text('utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise exception.Invalid(f'--uris {names.shorten(path)}: {reason}; expected a URI in each line') from None
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith('#')]


def _ask(app: App, uris: list[str]) -> Iterator[HostDomains | Unread]:
    options = host_records.options(app.conf)
    with ThreadPoolExecutor(_AT_ONCE) as pool, progress.shown(app, 'hosts', len(uris)) as bar:

        def ask(uri: str) -> HostDomains:
            from numaplace.libvirt import connection, fleet_reading, inventory

            found = sources.other_libvirt(uri, options)
            record = host_records.record_of(app.conf, connection.hostname_at(uri), found)
            there = inventory.read(uri, record.host)
            domains = [(inventory.parse(one.xml.encode(), one.uuid), one.reading) for one in there.domains]
            unread = (fleet_reading.unread(f'{uri} {uuid}', why, record.name) for uuid, why in there.unread.items())
            return fleet_reading.HostDomains(record, domains, tuple(unread))

        for answer in pool.map(lambda uri: _or_unread(uri, lambda: ask(uri)), uris):
            yield answer
            bar.advance()


def _or_unread(place: str, read_host: Callable[[], HostDomains], host: str | None = None) -> HostDomains | Unread:
    from numaplace.libvirt import fleet_reading

    try:
        return read_host()
    except (exception.LibvirtError, exception.Invalid, exception.InvalidConfiguration) as error:
        return fleet_reading.unread(place, str(error), host)


def _saved(conf: cfg.ConfigOpts, directory: Path) -> Iterator[HostDomains | Unread]:
    try:
        found = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith('.'))
    except OSError as error:
        raise exception.Invalid(
            f'--directory {names.shorten(str(directory))}: {error.strerror}; expected HOST/{_CAPABILITIES} in it'
        ) from None
    if not found:
        raise exception.Invalid(
            f'--directory {names.shorten(str(directory))}: there are no hosts: expected HOST/{_CAPABILITIES} in it'
        )
    known: dict[bytes, cfg.ConfigOpts] = {}
    for path in found:
        yield _or_unread(str(path), lambda path=path: _saved_host(conf, path, known), path.name)  # type: ignore[misc]


def _saved_host(conf: cfg.ConfigOpts, path: Path, known: dict[bytes, cfg.ConfigOpts]) -> HostDomains:
    from numaplace.libvirt import fleet_reading

    own = _configuration(conf, path / _CONFIGURATION, known)
    found = sources.capabilities_file(str(path / _CAPABILITIES), host_records.options(own))
    record: HostRecord = host_records.record_of(own, names.name('host', path.name), found)
    return fleet_reading.parse_all(record, _documents(path / _DOMAINS))


def _configuration(conf: cfg.ConfigOpts, path: Path, known: dict[bytes, cfg.ConfigOpts]) -> cfg.ConfigOpts:
    """Return the configuration of a host, or the common one; equal files are read once."""
    from numaplace import conf as configuration

    if not path.is_file():
        return conf
    text = path.read_bytes()
    if text not in known:
        known[text] = configuration.load([str(path)], use_env=False)
    return known[text]


def _documents(directory: Path) -> Iterable[tuple[str, bytes]]:
    for path in sorted(directory.glob('*.xml')):
        try:
            yield str(path), path.read_bytes()
        except OSError as error:
            raise exception.Invalid(f'{path}: {error.strerror}; expected the output of `virsh dumpxml`') from None
