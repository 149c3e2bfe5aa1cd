# SPDX-License-Identifier: Apache-2.0
"""The messages of the release before, as it wrote them, are read, and written when it is asked for."""

import json
from importlib import resources

import pytest

from numaplace import exception, objects, wire
from numaplace.conf import upgrade_levels
from numaplace.wire import messages

BEFORE = json.loads(resources.files('numaplace.tests.data').joinpath('messages', '1.0.json').read_text())


@pytest.mark.parametrize('name', BEFORE)
def test_a_message_of_the_release_before_is_read_and_written_as_it_was(name):
    found = messages.read(BEFORE[name], name)
    assert BEFORE[name] == messages.write(found, '1.0')
    newest = messages.write(found)
    assert messages.NEWEST == newest['numaplace_object.version']
    assert newest['numaplace_object.data'].keys() > BEFORE[name]['numaplace_object.data'].keys()


@pytest.mark.parametrize('name', BEFORE)
def test_the_objects_make_themselves_compatible_with_the_release_before(name):
    found = getattr(objects, name).from_json(json.dumps(messages.write(messages.read(BEFORE[name], name))))
    assert BEFORE[name] == json.loads(found.to_json({name: '1.0'}))


def test_the_answer_is_asked_for_in_a_version_that_the_client_reads():
    request = messages.read(BEFORE['CreateRequest'], 'CreateRequest')
    assert '1.0' == request.answer_version, 'a client of the release before does not say so'
    assert messages.NEWEST == messages.read(messages.write(request), 'CreateRequest').answer_version


def test_an_answer_in_a_version_that_nobody_knows_is_refused():
    asked = wire.primitive('ServerRequest', {'uuid': '', 'server_uuid': '', 'verb': '', 'answer_version': '7'})
    with pytest.raises(exception.InvalidObject, match=r"answer_version '7': expected one of 1\.0, 1\.1"):
        messages.read(asked, 'ServerRequest')


def test_each_version_of_the_messages_can_be_configured():
    assert upgrade_levels.VERSIONS == tuple(messages.LEVELS)
