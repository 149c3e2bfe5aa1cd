# SPDX-License-Identifier: Apache-2.0
"""Connections to an SQLite file: kept for the next transaction, and never with one that is still open."""

import threading

import pytest

from numaplace import exception
from numaplace.db import api
from numaplace.tests import samples


@pytest.fixture
def file(tmp_path):
    """An open file with a host."""
    with api.connect(f'sqlite:///{tmp_path / "test.sqlite"}') as opened:
        opened.create_host(samples.host_record('host1'))
        yield opened


def open_connections(database):
    return database._engine.pool.checkedout()


def test_one_connection_serves_one_transaction_after_the_other(file):
    (first,) = file._idle
    for _ in range(3):
        file.hosts()
        assert [first] == file._idle
    assert not first.in_transaction()


def test_a_connection_whose_transaction_failed_serves_no_other(file):
    (first,) = file._idle
    with pytest.raises(exception.AlreadyExists, match='host1'):
        file.create_host(samples.host_record('host1'))
    assert [] == file._idle
    assert first.closed
    assert ['host1'] == [record.name for record in file.hosts()]
    assert 1 == open_connections(file)


def test_threads_have_a_connection_each_and_a_closed_database_has_none(file):
    together, inside = threading.Barrier(3, timeout=10), []

    def read():
        with file._transaction(reads=True) as connection:
            together.wait()
            inside.append(connection)
            together.wait()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 3 == len(set(map(id, inside))) == len(file._idle)
    file.change_host('host1', lambda record, _instances: record)
    assert 3 == open_connections(file)
    file.close()
    assert [] == file._idle
    assert 0 == open_connections(file)


def test_any_number_of_threads_has_connections(file):
    """More than SQLAlchemy's pool would hand out, and again when all of them wait for their next transaction."""
    for _ in range(2):
        together, found = threading.Barrier(20, timeout=20), []

        def read(together=together, found=found):
            together.wait()
            for _ in range(5):
                found.append(len(file.hosts()))

        threads = [threading.Thread(target=read) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [1] * 100 == found


def test_a_child_does_not_go_on_with_the_file_of_its_parent(file, monkeypatch):
    """Whoever closes it first would delete the journal that the other one writes to."""
    monkeypatch.setattr('os.getpid', lambda: -1)
    with pytest.raises(exception.UnknownDatabase, match='opened by another process'):
        file.hosts()


@pytest.mark.parametrize('url', ['sqlite://', 'sqlite:///', 'sqlite:///:memory:'])
def test_a_database_that_ends_with_the_command_is_refused(url):
    with pytest.raises(exception.UnknownDatabase, match='expected sqlite:///FILE'):
        api.connect(url)
