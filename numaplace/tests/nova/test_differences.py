# SPDX-License-Identifier: Apache-2.0
"""The page of the differences from Nova says what Nova does."""

import pytest

from numaplace import wire
from numaplace.tests import audit, differences, nova_requests

pytestmark = pytest.mark.skipif(not differences.PAGE.is_file(), reason='there is no source tree beside the package')

EXAMPLES = [pytest.param(example, id=' '.join(sum(example.parts, ()))) for example in differences.examples()]


def _request_answer(theirs, example):
    found = theirs.constraints(*differences.asked(example))
    error = found.error or found.topology_error
    return error or differences.words(found.cells, found.topology, example.nova)


def _fit_answer(theirs, example):
    host, guest, limits, networks = differences.fit_asked(example)
    written = nova_requests.write_limits(limits, networks) if limits else None
    their_host = theirs.read_host(wire.write_host(host))
    placed = theirs.fit(
        their_host, theirs.read_guest(nova_requests.write_guest(guest)), theirs.read_limits(written), pack=False
    )
    if placed is None or isinstance(placed, str):
        return placed or 'refused'
    answer = differences.placed_words([cell['nova_object.data']['id'] for cell in placed['nova_object.data']['cells']])
    usage = theirs.usage(their_host, theirs.read_guest(placed))
    if isinstance(usage, str):
        return f'{answer}; its usage: {usage}'
    faults = audit.audit(wire.write_host(host), nova_requests.write_guest(guest), written, audit.canon(placed))
    return f'{answer}, {faults[0]}' if faults else answer


@pytest.mark.parametrize('example', EXAMPLES)
def test_each_example_of_the_page_gives_in_nova_what_the_page_says(theirs, example):
    answer = _fit_answer if differences.is_fit(example) else _request_answer
    expected = 'refused' if example.nova.startswith('refused') else example.nova  # Nova gives no reasons
    assert expected == answer(theirs, example)
