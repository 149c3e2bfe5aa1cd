# SPDX-License-Identifier: Apache-2.0
"""What the map of a fleet shows is what the fleet has, and everything can be reached by keyboard and screen reader."""

import json
import os
import re
import sys
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from lxml import etree

from numaplace import conf as configuration
from numaplace import cpuset
from numaplace.cli import fleet_map, host_svg
from numaplace.cli.host import as_here
from numaplace.fleet import audit
from numaplace.model import CellShape, Host, HostCell
from numaplace.model.allocations import held_on
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord
from numaplace.tests import crowded, real
from numaplace.tests.functional.browser.conftest import HOSTILE, hostile

FLEET = hostile()
FOUND = audit.audit(FLEET, now=datetime.now(UTC))
FIRST, SECOND = (record.name for record in FLEET.hosts)


def expect(locator):
    """Return what waits for a fact about elements."""
    return real.require_module('playwright.sync_api').expect(locator)


def tiles(page):
    return page.locator('.tile')


def names(page):
    """Return the names on the tiles as text; leading and trailing white space is theirs."""
    return page.locator('.tile .name').evaluate_all('all => all.map(one => one.textContent)')


def open_host(page, number):
    tiles(page).nth(number).click()
    return page.get_by_role('dialog')


def rows(table):
    return table.locator('tbody tr').evaluate_all('all => all.map(row => [...row.cells].map(cell => cell.textContent))')


def test_the_overview_counts_what_the_fleet_has(opened):
    page = opened.page
    assert [FIRST, SECOND] == names(page)
    cells = [cell for record in FLEET.hosts for cell in record.host.cells]
    total = sum(cell.shape.dedicated_cpus.bit_count() for cell in cells)
    shared = sum((cell.shape.shared_cpus & ~cell.shape.dedicated_cpus).bit_count() for cell in cells)
    free = sum(cell.free_cpus.bit_count() for cell in cells)
    totals = page.locator('#totals').inner_text()
    assert f'2 hosts, 5 guests, {len(FOUND)} findings; ' in totals
    assert f'dedicated CPUs: {total - free} in use, {free} free; shared CPUs: {shared}' in totals
    for number, record in enumerate(FLEET.hosts):
        open_cpus = record.host.free_cpus.bit_count()
        dedicated = record.host.dedicated_cpus.bit_count()
        text = tiles(page).nth(number).inner_text()
        assert f'{open_cpus} of {dedicated} CPUs free' in text
        assert f'{dedicated - open_cpus} dedicated in use, {open_cpus} dedicated free' in text
        held = len(held_on(record.name, FLEET.servers))
        assert f'; {held} guest{"" if held == 1 else "s"}' in text
        lengths = (
            tiles(page).nth(number).locator('svg path').evaluate_all('all => all.map(one => one.getTotalLength())')
        )
        assert all(length > 0 for length in lengths)


def test_names_of_strangers_are_text_everywhere(opened):
    page = opened.page
    for number in (0, 1):
        dialog = open_host(page, number)
        assert FLEET.hosts[number].name == page.locator('#host-name').evaluate('one => one.textContent')
        dialog.locator('summary').click()
        page.keyboard.press('Escape')
    shown = {record.name for record in FLEET.servers if record.host == SECOND or record.move}
    open_host(page, 1)
    assert shown == set(page.locator('.guest').evaluate_all('all => all.map(one => one.textContent)'))
    assert 0 == page.locator('img, b, i, u, svg[onload]').count()
    assert 2 == page.locator('script').count()


def test_every_filter_leaves_the_hosts_that_it_names(opened):
    page = opened.page
    hosts = {
        ('#by-name', 'IMG'): [FIRST],
        ('#by-name', 'no such'): [],
        ('#by-guest', HOSTILE[0]): [FIRST],
        ('#by-guest', 's4'): [FIRST, SECOND],
        ('#by-zone', '<i>north</i>'): [SECOND],
        ('#by-finding', 'any error'): [FIRST],
        ('#by-finding', 'cpus.leaked'): [FIRST],
    }
    for (control, value), expected in hosts.items():
        if control in ('#by-zone', '#by-finding'):
            page.select_option(control, label=value)
        else:
            page.fill(control, value)
        expect(tiles(page)).to_have_count(len(expected))
        assert expected == names(page), value
        assert page.locator('#count').inner_text() == f'{len(expected)} host{"" if len(expected) == 1 else "s"} of 2'
        page.click('#reset')
        expect(tiles(page)).to_have_count(2)


def test_a_guest_that_is_looked_for_lights_up_its_cells(opened, screenshot):
    page = opened.page
    page.fill('#by-guest', 's1')
    page.wait_for_selector('.tile .lit')
    assert 'M0 0' in page.locator('.tile .lit').get_attribute('d')
    open_host(page, 0)
    (server,) = (one for one in FLEET.servers if one.uuid == 's1')
    lit = page.locator('.cpu.lit').evaluate_all('all => all.map(one => Number(one.dataset.cpu))')
    assert sorted(lit) == [
        cpu for cpu in range(16) if any(placed.taken >> cpu & 1 for placed in server.placement.cells)
    ]
    assert page.locator('#lit-cells').inner_text().endswith('is on cells 0, 1')
    screenshot(page, 'guest')


def test_colors_say_the_same_in_words(opened, program):
    page = opened.page
    page.select_option('#color-by', 'memory')
    badges = page.locator('.badge')
    expect(badges.first).to_contain_text('MiB')
    assert [f'{record.host.free_memory_mib:,} MiB free' for record in FLEET.hosts] == badges.all_inner_texts()
    page.select_option('#color-by', 'findings')
    expect(badges.first).not_to_contain_text('MiB')
    for number, record in enumerate(FLEET.hosts):
        text = badges.nth(number).inner_text()
        for severity in ('error', 'warning'):
            count = sum(one.host == record.name and one.severity == severity for one in FOUND)
            assert (f'{count} {severity}' in text) == bool(count)


@pytest.mark.parametrize(('flavor', 'said'), [('m1', {True, False}), ('m2 <b>wide</b>', {False})])
def test_who_takes_a_flavor_is_what_explain_says(opened, program, flavor, said):
    page = opened.page
    page.select_option('#color-by', 'flavor')
    page.select_option('#flavor', label=flavor)
    expect(page.locator('.badge').first).to_contain_text(flavor)
    answers = {one['host']: one for one in _explained(program, flavor)}
    assert said == {one['takes'] for one in answers.values()}
    for number, name in enumerate((FIRST, SECOND)):
        answer = answers[name]
        sign = '\u2713 takes' if answer['takes'] else '\u2715 refuses'
        assert f'{sign} {flavor}' == page.locator('.badge').nth(number).inner_text()
        open_host(page, number)
        text = page.locator('#answer').inner_text()
        assert all(reason['text'] in text for reason in answer['reasons'])
        assert (f'{answer["filter"]} refuses it' in text) == (not answer['takes'])
        page.keyboard.press('Escape')


def _explained(program, flavor):
    result = program.run('fleet', 'explain', '--from', 'fleet.json', '--flavor', flavor, '-f', 'json')
    return [one for one in json.loads(result.stdout) if one['host'] in (FIRST, SECOND)]


def test_a_flavor_of_which_no_guest_can_be_made_says_why(opened):
    page = opened.page
    open_host(page, 0)
    page.select_option('#host-flavor', label='m3.bad')
    assert "the CPU thread policy 'isolate' needs dedicated or mixed" in page.locator('#answer').inner_text()
    page.keyboard.press('Escape')
    assert 'm3.bad' == page.locator('#flavor').evaluate('one => one.selectedOptions[0].textContent')


@pytest.mark.parametrize('hosts', [0, 1])
def test_a_fleet_without_flavors_guests_and_cpus_opens(tmp_path, visit, hosts):
    """Neither a fleet without anything nor a cell of memory alone is a fault."""
    cell = HostCell(CellShape(3, 0, 0, 4096, memory_kind='hbm'))
    fleet = Fleet((HostRecord('h1', Host((cell,))),)[:hosts])
    (tmp_path / 'map.html').write_text(fleet_map.document(configuration.load([], use_env=False), fleet, (), 'test'))
    page = visit(tmp_path / 'map.html').page
    page.select_option('#color-by', 'flavor')
    assert page.locator('#count').inner_text() == f'{hosts} host{"s" * (hosts != 1)} of {hosts}'
    if hosts:
        dialog = open_host(page, 0)
        assert '0 of 4096 MiB, hbm' == rows(dialog.get_by_role('table', name='Cells'))[0][7]
        assert 'the fleet has no flavors' == page.locator('#answer').inner_text()


@pytest.mark.parametrize('number', [0, 1])
def test_a_host_is_drawn_as_its_svg(opened, number, screenshot):
    """Each CPU has the classes and the letter that ``host show --svg`` gives it."""
    page, record = opened.page, FLEET.hosts[number]
    open_host(page, number)
    drawn = etree.fromstring(host_svg.svg(record, as_here(record.name, FLEET.servers)))
    expected = {
        group.get('data-cpu'): [group.get('class'), group[-1].text]
        for group in drawn.iter('{http://www.w3.org/2000/svg}g')
        if group.get('data-cpu')
    }
    shown = dict(
        page.locator('.cpu').evaluate_all(
            'all => all.map(one => [one.dataset.cpu, [one.getAttribute("class"), one.lastElementChild.textContent]])'
        )
    )
    assert 16 == len(expected)
    assert expected == shown
    screenshot(page, f'host{number}')


def test_an_open_host_has_the_numbers_of_its_cells_guests_and_devices(opened):
    page, record = opened.page, FLEET.hosts[0]
    dialog = open_host(page, 0)
    for row, cell in zip(rows(dialog.get_by_role('table', name='Cells')), record.host.cells, strict=True):
        shape = cell.shape
        assert row[0] == str(shape.id)
        assert row[2:4] == [cpuset.text(shape.dedicated_cpus), cpuset.text(shape.shared_cpus)]
        free = cell.free_cpus.bit_count()
        assert row[5] == f'{shape.dedicated_cpus.bit_count() - free} in use, {free} free'
        assert row[6] == str(cell.cpu_usage)
        assert row[7] == f'{cell.memory_usage_mib} of {shape.memory_mib} MiB'
        sizes = {4: '4K', 2048: '2M'}
        for pages in cell.pages:
            assert f'{pages.used} of {pages.total} x {sizes[pages.size_kib]}' in row[8]
        assert row[9] == ', '.join(f'{other}: {distance}' for other, distance in shape.distances)
        assert row[10] == f'physnet{shape.id}'
    guests = {row[1]: row for row in rows(dialog.get_by_role('table', name='Guests'))}
    for server in FLEET.servers:
        for placement in held_on(record.name, [server]):
            place = guests[server.name][6]
            for placed in placement.cells:
                pins = cpuset.text(cpuset.mask(cpu for _, cpu in placed.pins))
                assert f'cell {placed.host_cell}: ' in place
                assert not pins or f'pinned to CPUs {pins}, {placed.guest_cell.memory_mib} MiB' in place
            assert placement.cells or place == 'floats over the whole host'
    assert [['0000:41:00.0', '8086:1572 type-PCI', '0', 'available', '']] == rows(
        dialog.get_by_role('table', name='PCI devices')
    )
    dialog.locator('summary').click()
    table = dialog.get_by_role('table', name='Cores and siblings')
    expect(table.locator('tbody tr').first).to_be_visible()  # it is made when it is opened
    cores = rows(table)
    assert [f'{cpu}-{cpu + 1}' for cpu in range(0, 16, 2)] == [row[1] for row in cores]
    found = [one for one in FOUND if one.host == FIRST]
    listed = dialog.locator('li.error, li.warning').all_inner_texts()
    assert len(found) == len(listed)
    assert all(one.code in line and one.text in line for one, line in zip(found, listed, strict=True))


def test_a_domain_that_is_not_managed_and_what_could_not_be_read_are_named(opened):
    page = opened.page
    assert '<u>gone</u>' in page.locator('#elsewhere').inner_text()
    dialog = open_host(page, 1)
    assert HOSTILE[2] in dialog.inner_text()
    assert 'zone <i>north</i>, disabled, up' in page.locator('#facts').inner_text()


def test_the_keyboard_reaches_everything(opened):
    page = opened.page
    reached = []
    for _ in range(12):
        page.keyboard.press('Tab')
        reached.append(page.evaluate('document.activeElement.id || document.activeElement.dataset.host || ""'))
    assert ['by-name', 'by-zone', 'by-finding', 'by-guest', 'flavor', 'color-by', 'reset', '0', '1'] == reached[:9]
    page.locator('.tile').first.focus()
    page.keyboard.press('Enter')
    seen = set()
    for _ in range(12):
        seen.add(
            page.evaluate(
                'document.activeElement.className || document.activeElement.id || document.activeElement.tagName'
            )
        )
        page.keyboard.press('Tab')
    assert {'close', 'SUMMARY', 'guest', 'host-flavor'} <= seen
    page.locator('.guest').first.focus()
    page.keyboard.press('Space')
    assert 'true' == page.locator('.guest').first.get_attribute('aria-pressed')
    assert page.locator('.cpu.lit').count()
    page.keyboard.press('Space')
    assert 0 == page.locator('.cpu.lit').count()
    page.keyboard.press('Escape')
    assert '0' == page.evaluate('document.activeElement.dataset.host')


def test_a_screen_reader_has_a_name_for_everything_that_can_be_used(opened):
    page = opened.page
    assert [] == _nameless(page)
    open_host(page, 0)
    page.locator('summary').click()
    expect(page.get_by_role('table', name='Cores and siblings')).to_be_visible()
    assert [] == _nameless(page)
    text = page.get_by_role('dialog').aria_snapshot()
    assert 'table "Cells"' in text
    assert 'table "Cores and siblings"' in text
    assert 'img "CPUs by cell and core' in text


def _nameless(page):
    """Return the roles in the accessibility tree that need a name and have none."""
    session = page.context.new_cdp_session(page)
    tree = session.send('Accessibility.getFullAXTree')['nodes']
    needed = {'button', 'combobox', 'dialog', 'heading', 'image', 'list', 'search', 'searchbox', 'table', 'textbox'}
    used = [node for node in tree if not node['ignored'] and node['role']['value'] in needed]
    assert len({node['role']['value'] for node in used}) > 4
    # Lists inside of a section are named by its heading.
    return [node['role'] for node in used if not node['name'].get('value') and node['role']['value'] != 'list']


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_shades_are_told_apart_without_color_vision(opened, scheme, screenshot):
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    page.context.new_cdp_session(page).send('Emulation.setEmulatedVisionDeficiency', {'type': 'achromatopsia'})
    screenshot(page, f'{scheme}-without-color')
    shades = [
        _luminance(page.locator(f'.tile path.{kind}').first.evaluate('one => getComputedStyle(one).fill'))
        for kind in ('dedicated', 'shared', 'open')
    ]
    ordered = sorted(shades)
    assert all(_contrast(one, other) > 1.8 for one, other in pairwise(ordered)), shades
    body = page.locator('body').evaluate('one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]')
    assert _contrast(*map(_luminance, body)) > 7
    for mode in ('cpus', 'memory', 'findings', 'flavor'):
        page.select_option('#color-by', mode)
        page.evaluate(_FRAMES)
        for tile in tiles(page).all():
            pair = tile.evaluate('one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]')
            assert _contrast(*map(_luminance, pair)) > 4.5, (mode, pair)


def _luminance(color):
    """Return the relative luminance of ``rgb(...)`` as WCAG defines it."""
    channels = [int(part) / 255 for part in re.findall(r'\d+', color)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_a_large_fleet_opens_at_once_and_is_filtered_at_once(tmp_path, visit, screenshot):
    """1,000 hosts of eight cells with 20,000 guests; NUMAPLACE_MAP_HOSTS is another number of hosts.

    What is measured is the processor time of the page's thread, so that other processes do not matter.
    """
    hosts = int(os.environ.get('NUMAPLACE_MAP_HOSTS', '1000'))
    fleet, conf = crowded.fleet(hosts), configuration.load([], use_env=False)
    (tmp_path / 'map.html').write_text(fleet_map.document(conf, fleet, fleet.flavors, 'test'), 'utf-8')
    mebibytes = (tmp_path / 'map.html').stat().st_size / 2**20
    page = visit(tmp_path / 'map.html').page
    session = page.context.new_cdp_session(page)
    session.send('Performance.enable', {'timeDomain': 'threadTicks'})
    before = _busy(session)
    page.reload()
    page.evaluate(_FRAMES)
    drawn = _busy(session) - before
    screenshot(page, 'large')
    longest = 0
    for word in ('g', 'guest0000', 'guest000012', ''):
        before = _busy(session)
        page.fill('#by-guest', word)
        page.evaluate(_FRAMES)
        longest = max(longest, _busy(session) - before)
    sys.stdout.write(f'{hosts} hosts: {mebibytes:.2f} MiB, drawn in {drawn:.2f} s, filtered in {longest:.2f} s\n')
    page.click('#reset')
    expect(page.locator('#count')).to_contain_text(f'{hosts:,} host')
    if hosts > 1000:
        assert 1000 == tiles(page).count()
        page.click('#more')
        assert 2000 == tiles(page).count()
        return
    assert hosts == tiles(page).count()
    assert mebibytes < 5
    assert drawn < 2
    assert longest < 0.5


_FRAMES = 'new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))'


def _busy(session):
    """Return the processor seconds that the page's thread has used."""
    metrics = session.send('Performance.getMetrics')['metrics']
    return next(one['value'] for one in metrics if one['name'] == 'TaskDuration')
