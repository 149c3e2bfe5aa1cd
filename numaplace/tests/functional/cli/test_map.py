# SPDX-License-Identifier: Apache-2.0
"""``fleet map`` writes one file that is safe to open, and ``host show --svg`` draws the same host."""

import base64
import hashlib
import json
import re

import pytest
from lxml import etree

SVG = '{http://www.w3.org/2000/svg}'


@pytest.fixture
def mapped(prepared):
    """The program with two servers, one of them pinned, and a map."""
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('server create --flavor m1.pinned db')
    prepared('server create --flavor m1.tiny web')
    prepared('fleet map --output map.html')
    return prepared


def _parts(text):
    """Return the contents of the script and style elements, as a browser finds them."""
    return [found[2] for found in re.finditer(r'<(script|style)\b[^>]*>(.*?)</\1>', text, re.DOTALL)]


def _fleet(text):
    return json.loads(_parts(text)[1])


def test_the_policy_allows_the_script_and_the_style_of_the_file_and_nothing_else(mapped):
    text = (mapped.directory / 'map.html').read_text('utf-8')
    style, _data, script = _parts(text)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', text)
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r'\b(?:src|href)=|\bstyle=|\bon\w+=|@import|url\(', text)
    assert {'http://www.w3.org/2000/svg'} == set(re.findall(r'https?://[^\s\'"]+', text))


def test_every_source_gives_the_same_map(mapped):
    (mapped.directory / 'map.html').unlink()
    mapped('fleet export fleet.json.gz')
    own = _fleet(mapped('fleet map --output -'))
    assert ['seed3'] == [host[0] for host in own['hosts']]
    assert ['db', 'web'] == [guest[0] for guest in own['guests']]
    assert own == _fleet(mapped('fleet map --from fleet.json.gz --output -'))
    assert [] == list(mapped.directory.glob('map.html'))


def test_the_flavors_that_are_named_are_asked_about_in_this_order(mapped):
    assert ['m1.numa', 'm1.pinned', 'm1.tiny'] == [one[0] for one in _fleet(mapped('fleet map --output -'))['flavors']]
    named = mapped('fleet map --output - --flavor m1.tiny m1.numa --flavor m1.tiny')
    assert ['m1.tiny', 'm1.numa'] == [one[0] for one in _fleet(named)['flavors']]


def test_names_of_strangers_hold_no_markup_in_the_file(mapped):
    mapped('fleet export fleet.json')
    path = mapped.directory / 'fleet.json'
    hostile = '</script><script>alert(1)</script>&<!--'
    path.write_text(path.read_text().replace('"db"', json.dumps(hostile)).replace('seed3', '<b>\\u2028'))
    text = mapped('fleet map --from fleet.json --output -')
    assert 3 == len(_parts(text))
    assert '<b>' not in text
    assert 'alert(1)</script>' not in text
    fleet = _fleet(text)
    assert hostile in [guest[0] for guest in fleet['guests']]
    assert '<b>\u2028' == fleet['hosts'][0][0]


def test_the_name_of_the_source_is_text(mapped):
    name = '<b>&@fleet@.json'
    mapped('fleet export', name)
    text = mapped('fleet map --output - --from', name)
    assert '&lt;b&gt;&amp;@fleet@.json' in text
    assert '<b>' not in text


WRONG = {
    '--output no/such/map.html': (1, "no/such/map.html' cannot be written: No such file or directory"),
    '--output map.html --flavor m1.nosuch': (
        1,
        "--flavor 'm1.nosuch': there is no such flavor; known flavors: m1.numa",
    ),
    '': (2, '--output'),
    '--output map.html --from nowhere.json': (1, "--from 'nowhere.json': No such file"),
}


@pytest.mark.parametrize(('words', 'expected'), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_no_file(refused, prepared, words, expected):
    status, text = expected
    assert text in refused(status, 'fleet', 'map', *words.split())
    assert not (prepared.directory / 'map.html').exists()


def test_a_host_is_drawn_as_svg_with_the_letters_of_its_picture(mapped):
    shown = mapped('host show --svg host.svg seed3')
    root = etree.parse(mapped.directory / 'host.svg').getroot()
    assert f'{SVG}svg' == root.tag
    letters = {group.get('data-cpu'): group[-1].text for group in root.iter(f'{SVG}g') if group.get('data-cpu')}
    assert {'0': 'A', '1': 'A'} == {cpu: letter for cpu, letter in letters.items() if letter.isalpha()}
    assert [str(cpu) for cpu in range(8)] == list(letters)
    words = [text.text.strip() for text in root.iter(f'{SVG}text') if text.text]
    assert 'A  db: cell 0: 2 pinned vCPUs, 512 MiB' in words
    assert 'A  db: cell 0: 2 pinned vCPUs, 512 MiB' in shown
    assert any(line.startswith('cell 1: 2 CPUs (4-5), 0 of 1969 MiB used') for line in words)
    style = root.findtext(f'{SVG}style')
    classes = {name for group in root.iter(f'{SVG}g') for name in group.get('class').split()}
    assert {'pinned', 'guest0', 'free'} <= classes
    assert all(f'.{name}' in style for name in classes - {'pinned', 'floating'})
    width, height = float(root.get('width')), float(root.get('height'))
    for rect in list(root.iter(f'{SVG}rect'))[1:]:
        assert float(rect.get('x')) + float(rect.get('width')) <= width
        assert float(rect.get('y')) + float(rect.get('height')) <= height


def test_a_picture_that_cannot_be_written_is_one_line(refused):
    assert 'no/host.svg' in refused(1, 'host', 'show', '--svg', 'no/host.svg', 'seed3')
    assert '--svg -: standard output has the table' in refused(2, 'host', 'show', '--svg', '-', 'seed3')
