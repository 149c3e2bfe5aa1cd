# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet map``: a fleet as one HTML file, which a browser shows without a network."""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, fleet, names, progress
from numaplace.cli import fleet_sources as sources

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.fleet.fleet_map import Asked, Map
    from numaplace.model import Flavor
    from numaplace.model.fleet import Fleet

__all__ = ['MapFleet', 'document', 'page']

_PLACE = re.compile(r'@(\w+)@')
#: What could end a script element, or open another: escaped in the strings of JSON, outside of which none of them is.
_MARKUP = {ord(character): f'\\u{ord(character):04x}' for character in '<>&'}


class MapFleet(base.Action):
    """Draw all hosts and servers as one HTML file for a browser, which needs no network.

    The overview has a tile for each host, colored by free room, by findings of the audit, or by which hosts take a
    flavor. A host opens to its cells, cores and siblings, and shows who is pinned where, pages, devices, distances,
    findings, and why it refuses a flavor. Every host is asked about each flavor when the file is written: with many
    flavors, name those that matter. The file is of one moment and holds the names of all hosts and servers.
    """

    examples = (
        'numaplace fleet map --output map.html',
        'numaplace fleet map --output map.html --flavor m1.numa m1.large',
        'numaplace fleet map --from fleet.json.gz --output map.html',
        'numaplace --config-file reader.conf fleet map --from nova --output map.html',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file, the source and the flavors."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        parser.add_argument(
            '--output',
            metavar='FILE',
            required=True,
            help=f'File to write; {sources.STREAM} is standard output.',
        )
        parser.add_argument(
            '--flavor',
            metavar='FLAVOR',
            dest='flavors',
            action='extend',
            nargs='+',
            help='Name or id of a flavor that hosts are asked about; may be repeated (default: all of the fleet).',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the file."""
        read = fleet.read(self, parsed_args)
        flavors = read.flavors
        if parsed_args.flavors is not None:
            flavors = tuple([fleet.find_flavor(read, name) for name in dict.fromkeys(parsed_args.flavors)])
        with progress.shown(self.app, 'flavors', len(flavors)) as bar:
            text = document(self.conf, read, flavors, names.shorten(parsed_args.source), bar.advance)
        sources.write_octets(text.encode(), parsed_args.output)


def document(
    conf: cfg.ConfigOpts,
    read: Fleet,
    flavors: Sequence[Flavor],
    source: str,
    advance: Callable[[], object] = lambda: None,
) -> str:
    """Audit a fleet, ask its hosts about flavors, and return its map as HTML.

    :param source: what the fleet was read from, for people
    :param advance: called after each flavor
    """
    from numaplace.fleet import audit, fleet_map
    from numaplace.model.fleet import candidates

    now = datetime.now(UTC)
    found = audit.audit(read, settings=fleet.settings(conf), now=now)
    asked = candidates(read)
    drawn = fleet_map.draw(asked, found, _ask(conf, asked, flavors, source, advance))
    return page(drawn, f'{source}, {now:%Y-%m-%d %H:%M} UTC')


def _ask(
    conf: cfg.ConfigOpts, asked: Fleet, flavors: Iterable[Flavor], source: str, advance: Callable[[], object]
) -> Iterator[Asked]:
    from numaplace.fleet import explain, fleet_map

    for flavor in flavors:
        try:
            request = fleet.request_of(conf, asked, flavor, source=source)
        except exception.Invalid as error:
            yield fleet_map.Asked(flavor.name, fault=str(error))
        else:
            yield fleet_map.Asked(flavor.name, explain.ask(asked, fleet.checks(conf, asked, request)))
        advance()


def page(drawn: Map, title: str) -> str:
    """Return a map as HTML.

    Everything is inside: the style, the script, which the policy of the page names by their digests, and the fleet as
    JSON. The policy allows nothing else, from anywhere.

    :param title: what the map is of
    """
    from numaplace.cli import host_svg
    from numaplace.libvirt import xmltext

    directory = resources.files('numaplace.cli').joinpath('map')
    style = f'{host_svg.style()}{directory.joinpath("map.css").read_text("utf-8")}'
    script = directory.joinpath('map.js').read_text('utf-8')
    parts = {
        'policy': f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'",
        'title': html.escape(title),
        'style': style,
        'script': script,
        'frames': ''.join([xmltext.write(host_svg.frame(host)) for host in drawn.kinds]),
        'fleet': _json(drawn.plain | {'classes': dict(host_svg.CLASSES)}),
    }
    template = directory.joinpath('map.html').read_text('utf-8')
    return _PLACE.sub(lambda place: parts[place[1]], template)


def _digest(text: str) -> str:
    return f'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'


def _json(plain: dict[str, Any]) -> str:
    """Return JSON in ASCII that holds no markup, whatever its strings hold."""
    return json.dumps(plain, separators=(',', ':')).translate(_MARKUP)
