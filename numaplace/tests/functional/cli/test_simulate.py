# SPDX-License-Identifier: Apache-2.0
"""``fleet simulate``: text, JSON, the page, and what is refused."""

import json
import xml.dom.minidom

import pytest

TRACE = 'vmid,cpu,memory,time,type\n' + ''.join(f'{number},2,4,{number},0\n' for number in range(4))


def test_novas_order_leaves_a_wide_guest_without_a_host_and_preserve_places_it(numaplace, tmp_path):
    (trace := tmp_path / 'trace.csv').write_text(f'{TRACE}wide,16,32,9,0\n', 'utf-8')
    page = tmp_path / 'page.html'
    line = ['fleet', 'simulate', '--trace', str(trace), '--double', '16:1', '--hosts', '4', '--html', str(page)]
    done = numaplace.run(*line, '-f', 'json')
    rows = {row['policy']: row for row in json.loads(done.stdout)}
    assert ['nova', 'closest', 'pack', 'best-fit', 'lasting', 'preserve', 'preserve-mix'] == list(rows)
    assert (4, 1, 1) == tuple(rows['nova'][key] for key in ('accepted', 'refused_wide', 'refused_with_room'))
    assert (5, 0) == tuple(rows['preserve'][key] for key in ('accepted', 'refused_wide'))
    assert {'time_s', 'active_hosts', 'free_cpus', 'stranded_cpus', 'stranded_mib'} == set(rows['nova']['samples'][0])
    text = page.read_text('utf-8')
    assert "default-src 'none'" in text
    assert '<script' not in text
    plots = text.split('<svg')[1:]
    assert 4 == len(plots)
    for plot in plots:
        drawn = xml.dom.minidom.parseString(f'<svg{plot.split("</svg>")[0]}</svg>')
        assert 7 == len(drawn.getElementsByTagName('polyline'))


def test_a_made_trace_gives_the_same_report_for_the_same_seed(numaplace):
    line = ['fleet', 'simulate', '--generate', '200', '--hosts', '3', '--policy', 'preserve', '--defragment', '0.1']
    first = numaplace.run(*line)
    assert '| preserve |' in first.stdout
    assert 'samples' not in first.stdout
    assert first.stdout == numaplace.run(*line).stdout
    assert first.stdout != numaplace.run(*line, '--seed', '2').stdout


@pytest.mark.parametrize(
    ('words', 'fault'),
    [
        (['--generate', '9', '--load', '0'], "'0': expected a number above 0, up to 10, such as 0.9"),
        (['--generate', '9', '--double', '8'], "'8': expected VCPUS:SHARE, such as 8:0.5"),
        (['--generate', '9', '--defragment', '2'], "'2': expected a share from 0 to 1, such as 0.02"),
    ],
)
def test_a_wrong_number_is_refused_in_one_line(refused, words, fault):
    assert fault in refused(2, 'fleet', 'simulate', *words)


def test_a_file_that_is_no_trace_is_refused_in_one_line(refused, tmp_path):
    assert 'No such file' in refused(1, 'fleet', 'simulate', '--trace', str(tmp_path / 'none'))
    (trace := tmp_path / 'trace.csv').write_text('vmid,cpu,memory,time,type\na,b,c,d,e\n', 'utf-8')
    assert "line 2: 'a,b,c,d,e': expected numbers, vmid" in refused(1, 'fleet', 'simulate', '--trace', str(trace))
