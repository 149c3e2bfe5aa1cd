# SPDX-License-Identifier: Apache-2.0
"""Lost races are repeated, a bounded number of times; other faults are not."""

import pytest

from numaplace import exception
from numaplace.db.retry import ATTEMPTS, retry


class Lost:
    """Loses a number of races."""

    def __init__(self, times: int, error: type[Exception] = exception.ConcurrentUpdate) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        """Lose, or win."""
        self.calls += 1
        if self.calls <= self.times:
            raise self.error('lost')
        return 'won'


@pytest.mark.parametrize('times', [0, 1, 3])
def test_a_race_is_repeated_until_it_is_won(times):
    attempt = Lost(times)
    assert retry(attempt) == 'won'
    assert attempt.calls == times + 1


def test_a_race_that_is_never_won_is_given_up(monkeypatch):
    monkeypatch.setattr('numaplace.db.retry._RACE_PAUSE_S', 0)
    attempt = Lost(1000)
    with pytest.raises(exception.ConcurrentUpdate, match=f'lost; given up after {ATTEMPTS} attempts'):
        retry(attempt)
    assert attempt.calls == ATTEMPTS


def test_another_fault_is_not_repeated():
    attempt = Lost(1, exception.NotFound)
    with pytest.raises(exception.NotFound, match=r'^lost$'):
        retry(attempt)
    assert attempt.calls == 1


def test_lost_races_and_lost_connections_count_apart(monkeypatch):
    monkeypatch.setattr('numaplace.db.retry._RACE_PAUSE_S', 0)
    monkeypatch.setattr('numaplace.db.retry._LOSS_PAUSE_S', 0)
    errors = [kind for _ in range(ATTEMPTS - 1) for kind in (exception.ConcurrentUpdate, exception.LostConnection)]

    def attempt():
        if errors:
            raise errors.pop()('lost')
        return 'done'

    assert 'done' == retry(attempt)


def test_the_pauses_for_a_server_that_is_away_add_up_to_a_restart(monkeypatch):
    """Nine to eighteen seconds."""
    pauses = []
    monkeypatch.setattr('time.sleep', pauses.append)
    with pytest.raises(exception.LostConnection, match=f'given up after {ATTEMPTS} attempts'):
        retry(Lost(1000, exception.LostConnection))
    assert 9 <= sum(pauses) <= 18


def test_what_may_have_happened_is_not_repeated():
    attempt = Lost(1, exception.UnknownOutcome)
    with pytest.raises(exception.UnknownOutcome, match=r'^lost$'):
        retry(attempt)
    assert 1 == attempt.calls
