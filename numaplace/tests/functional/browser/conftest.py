# SPDX-License-Identifier: Apache-2.0
"""Maps of fleets, opened in Debian's Chromium, which has no network and may not complain about anything."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from numaplace.cli import fleet_sources
from numaplace.model import Flavor
from numaplace.model.fleet import Fleet, Unread
from numaplace.model.held import hold
from numaplace.model.holding import Holding
from numaplace.model.host_devices import HostDevices
from numaplace.model.pci import PciDevice
from numaplace.tests import real
from numaplace.tests.functional.cli.conftest import Program
from numaplace.tests.unit.fleet import fleets

#: Names that strangers may give, each of which would do something if it were markup, script, JSON or style.
HOSTILE = (
    '<img src=x onerror="window.pwned=1">',
    '</script><script>window.pwned=1</script>',
    '"><svg onload=window.pwned=1>',
    "'; window.pwned=1; //",
    '<!--<script>',
    '\u202eevil\u2028\x00\x1b[31m',
)
_FLAVORS = (
    fleets.FLAVOR,
    Flavor('m2 <b>wide</b>', 12, 512, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2'}, 'wide'),
    Flavor('m3.bad', 2, 512, 1, {'hw:cpu_thread_policy': 'isolate'}, 'bad'),
)


def hostile() -> Fleet:
    """Return a fleet with everything that a map shows, and names from strangers."""
    fleet = fleets.fleet()
    pinned = fleet.hosts[0].host.cells[1].pinned_cpus | 1 << 15  # the last CPU is of no server
    fleet = fleets.with_cell(fleet, 'h1', 1, pinned_cpus=pinned)
    names = {record.name: HOSTILE[number] for number, record in enumerate(fleet.hosts)}
    first, second = fleet.hosts
    device = PciDevice('0000:41:00.0', '8086', '1572', 'type-PCI', numa_node=0)
    domain = Holding(HOSTILE[2], 'd1', vcpus=1, dedicated=frozenset((7,)))
    cells = [
        replace(cell, shape=replace(cell.shape, online_cpus=0x3FFF & 0xFF << 8 * cell.id)) for cell in second.host.cells
    ]
    hosts = (
        replace(first, name=names['h1'], host=replace(first.host, devices=HostDevices((device,)))),
        replace(
            second,
            name=names['h2'],
            host=hold(replace(second.host, cells=tuple(cells)), [domain]),
            availability_zone='<i>north</i>',
            status='disabled',
            unmanaged=(domain,),
        ),
    )
    servers = []
    for number, server in enumerate(fleet.servers):
        move = server.move and replace(
            server.move,
            old=replace(server.move.old, host=names[server.move.old.host]),
            new=replace(server.move.new, host=names[server.move.new.host]),
        )
        servers.append(replace(server, name=HOSTILE[number], host=server.host and names[server.host], move=move))
    unread = Unread('row.unreadable', 'compute_nodes.numa_topology', 'h3', '<b>no</b> JSON', host='<u>gone</u>')
    return replace(fleet, hosts=hosts, servers=tuple(servers), flavors=_FLAVORS, unread=(unread,))


@dataclass
class Opened:
    """A page with what the browser told while it was open.

    :param told: messages of its console, errors and dialogs
    :param requests: URLs that it asked for
    """

    page: Any
    told: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope='session')
def chromium() -> Iterator[Any]:
    """A browser process."""
    sync_api = real.require_module('playwright.sync_api')
    path = real.require_program('chromium')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[[Path], Opened]]:
    """Return a function that opens a file without a network; nothing may be told or asked for by its end."""
    contexts = []

    def go(path: Path) -> Opened:
        context = chromium.new_context(offline=True, viewport={'width': 1280, 'height': 800})
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on('console', lambda message: opened.told.append(message.text))
        opened.page.on('pageerror', lambda error: opened.told.append(str(error)))
        opened.page.on('dialog', lambda dialog: (opened.told.append(dialog.message), dialog.dismiss()))
        opened.page.on('request', lambda request: opened.requests.append(request.url))
        opened.page.set_default_timeout(10_000)
        opened.page.goto(path.as_uri())
        pages.append((opened, path))
        return opened

    pages: list[tuple[Opened, Path]] = []
    yield go
    for opened, path in pages:
        assert [] == opened.told
        assert {path.as_uri()} == set(opened.requests)
        assert opened.page.evaluate('window.pwned === undefined')
    for context in contexts:
        context.close()


@pytest.fixture(scope='session')
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The command, in a directory with the file ``fleet.json`` and its map."""
    made = Program(tmp_path_factory.mktemp('map'))
    fleet_sources.write_file(hostile(), str(made.directory / 'fleet.json'), {})
    made('fleet map --from fleet.json --output map.html')
    return made


@pytest.fixture
def opened(program: Program, visit: Callable[[Path], Opened]) -> Opened:
    """The map of the hostile fleet, opened anew."""
    return visit(program.directory / 'map.html')


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Any, str], None]:
    """Return a function that keeps a picture of a page, where NUMAPLACE_SCREENSHOTS names a directory, for people."""
    directory = Path(os.environ.get('NUMAPLACE_SCREENSHOTS', tmp_path))
    return lambda page, name: page.screenshot(path=directory / f'{name}.png')
