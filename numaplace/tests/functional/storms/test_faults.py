# SPDX-License-Identifier: Apache-2.0
"""The database fails at the first, the second, ... statement of each verb: nothing is left between."""

import itertools
import json
from functools import partial

import pytest
import sqlalchemy as sa

from numaplace import exception
from numaplace.compute import claims
from numaplace.db import api, engine
from numaplace.model import HostDevices
from numaplace.tests.functional.storms import amount, faults, ledger, scenes

#: Scenes that are interrupted on servers too, if it shall not take long.
_INTERRUPTED = ('claim', 'release', 'resize', 'unshelve', 'more vCPUs')
#: What differs from one run of a verb to the next.
_UNSTEADY = ('id', 'created_at', 'updated_at', 'migration_id', 'generation')


class Tables:
    """All rows of a database, which can be put back."""

    def __init__(self, url):
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        self._tables = sa.MetaData()
        self._tables.reflect(self._engine)

    def rows(self):
        """Return the rows of each table."""
        with self._engine.connect() as connection:
            return {
                table: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
                for table in self._tables.sorted_tables
            }

    def restore(self, rows):
        """Put rows back in place of all others."""
        with self._engine.begin() as connection:
            for table in reversed(self._tables.sorted_tables):
                connection.execute(sa.delete(table))
            for table in self._tables.sorted_tables:
                if rows[table]:
                    connection.execute(sa.insert(table), rows[table])

    def state(self):
        """Return what the rows say, without numbers and times, which each attempt has again."""
        return {table.name: sorted(map(_steady, rows)) for table, rows in self.rows().items()}


def _steady(row):
    known = {key: _parsed(value) for key, value in row.items() if key not in _UNSTEADY}
    if 'migration_type' in known:
        del known['uuid']
    if known.get('migration_context'):
        del known['migration_context']['nova_object.data']['migration_id']
    return json.dumps(known, sort_keys=True, default=str)


def _parsed(value):
    return json.loads(value) if isinstance(value, str) and value.startswith('{') else value


@pytest.fixture
def tables(world_url):
    return Tables(world_url)


def attempt(act, fault, dialect):
    """Do something in which the fault happens; return what it raised."""
    with fault.armed(dialect):
        try:
            act()
        except (KeyboardInterrupt, exception.NumaplaceException) as error:
            return error
    return None


def expected(kind, fault, before, after, undone):
    """Return the error and the state with which a verb ends at a fault.

    :param undone: the state after it was done and given back, if it claims something, which an interrupt takes back
    """
    if fault.struck is None or kind in (faults.race, faults.loss):
        return type(None), after  # it was repeated
    is_done = fault.struck == faults.ANSWERED
    if kind is faults.failure:
        return exception.UnknownDatabase, after if is_done else before
    return KeyboardInterrupt, (undone or after) if is_done else before


def kinds(dialect, name):
    """Return the kinds of fault to try: on servers, where each costs more, only their own if it shall not take long."""
    found = faults.KINDS[dialect.name]
    if dialect.name == 'sqlite' or amount.IS_LONG:
        return found
    return found[:1] + ((faults.interrupt,) if name in _INTERRUPTED else ())


def test_a_verb_that_fails_at_any_moment_leaves_the_state_before_or_after(world_url, tables):
    """Lost races and lost connections are gone through, also where the answer to the commit is lost."""
    dialect = engine.create(engine.open_url(world_url)).dialect
    empty = tables.rows()
    with api.connect(world_url) as database:
        for name, scene in scenes.SCENES.items():
            tables.restore(empty)
            verb = partial(scene[-1], database, scenes.set_up(database, scene))
            rows, before = tables.rows(), tables.state()
            answer = verb()
            assert answer, name
            after = tables.state()
            undone = None
            if isinstance(answer, claims.Claim):
                answer.abort()
                undone = tables.state()
            elif name in scenes.CLAIM_MORE:
                undone = before
            for kind in kinds(dialect, name):
                for number in itertools.count():
                    if tables.state() != before:
                        tables.restore(rows)
                    fault = faults.Fault(kind, number)
                    raised = attempt(verb, fault, dialect)
                    place = f'{kind.__name__} at {number} of {name}: {fault.struck}'
                    assert (type(raised), tables.state()) == expected(kind, fault, before, after, undone), place
                    if fault.struck is None:
                        break
                assert number > 4, f'{name} has more moments than that'
        assert ledger.at(world_url).faults() == []


#: Where a product that forgets something is told from one that does not, and what is said of it.
FORGETS = {
    'to take': ('take', "is available, None; it should be ('allocated',"),
    'to give back': ('give_back', "it should be ('available', None)"),
}


@pytest.mark.parametrize('name', FORGETS)
def test_a_product_that_forgets_devices_is_found_out(name, world_url, monkeypatch):
    method, told = FORGETS[name]
    monkeypatch.setattr(HostDevices, method, lambda devices, _granted: devices)
    with api.connect(world_url) as database:
        uuid = scenes.set_up(database, scenes.SCENES['release'])
        if method == 'give_back':
            claims.release(database, uuid)
    assert any(told in fault for fault in ledger.at(world_url).faults())
