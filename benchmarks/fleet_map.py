# SPDX-License-Identifier: Apache-2.0
"""Maps of fleets of 100 to 10,000 hosts, each with eight cells and 20 guests: ``python -m benchmarks.fleet_map``.

The processor time to audit the fleet, ask its hosts about four flavors and write the map, and the size of the map; with
Playwright and Chromium also the time until the map is drawn, and the longest that typing a letter into a filter takes,
both the best of three.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.clock import duration
from numaplace import conf as configuration
from numaplace.cli import fleet_map
from numaplace.tests import crowded

__all__ = ['main']

_FRAMES = 'new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))'
_TYPE = f"""async () => {{
    const field = document.getElementById('by-guest');
    let longest = 0;
    for (const word of ['g', 'gu', 'guest', 'guest0000', 'guest000012', '']) {{
        const start = performance.now();
        field.value = word;
        field.dispatchEvent(new Event('input', {{bubbles: true}}));
        await {_FRAMES};
        longest = Math.max(longest, performance.now() - start);
    }}
    return longest;
}}"""


def _open(path: Path) -> tuple[float, float] | None:
    """Open the map; return the seconds until it is drawn and those of the slowest filter, or None without a browser."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None
    if (chromium := shutil.which('chromium')) is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        page = browser.new_page()
        page.goto('about:blank')
        drawn = min(_draw(page, path) for _ in range(3))
        longest = min(page.evaluate(_TYPE) for _ in range(3))
        browser.close()
    return drawn, longest / 1000


def _draw(page: Any, path: Path) -> float:
    start = time.monotonic()
    page.goto(path.as_uri())
    page.wait_for_selector('.tile')
    page.evaluate(_FRAMES)
    return time.monotonic() - start


def main() -> None:
    """Print a line for each number of hosts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('hosts', type=int, nargs='*', default=[100, 1000, 10000])
    print(f'{"hosts":>7} {"guests":>8} {"written":>9} {"file":>9} {"drawn":>8} {"filter":>8}')
    for hosts in parser.parse_args().hosts:
        with tempfile.TemporaryDirectory() as scratch:
            fleet = crowded.fleet(hosts)
            path = Path(scratch, 'map.html')
            start = time.process_time()
            path.write_text(
                fleet_map.document(configuration.load([], use_env=False), fleet, fleet.flavors, 'benchmark')
            )
            seconds = time.process_time() - start
            shown = [duration(one) for one in _open(path) or ()] or ['-', '-']
            size = f'{path.stat().st_size / 2**20:.2f} MiB'
        print(f'{hosts:7,} {len(fleet.servers):8,} {duration(seconds):>9} {size:>9} {shown[0]:>8} {shown[1]:>8}')


if __name__ == '__main__':
    main()
