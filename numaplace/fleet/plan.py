# SPDX-License-Identifier: Apache-2.0
"""A plan: which servers move where, in which order, what stays behind, and how good it is. Pure values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from numaplace import cpuset, exception, explain
from numaplace.model import Placement
from numaplace.model.records import EVACUATION, KINDS, LIVE_MIGRATION, RESIZE

__all__ = ['Plan', 'Step', 'Stuck', 'lines', 'plain', 'read_steps', 'with_later']

#: Kinds of moves as people read them.
_WORDS = {LIVE_MIGRATION: 'live', EVACUATION: 'evacuate'}
_OF_STEP = ('group', 'server', 'name', 'kind', 'source', 'destination')


@dataclass(frozen=True, slots=True)
class Step:
    """A move of one server.

    :param server: its UUID
    :param kind: LIVE_MIGRATION, MIGRATION or EVACUATION
    :param group: number of its group, from 1; the moves of a group may be made at once, after those of the groups
        before are over
    :param placement: what the claim gives it at its destination; None in a plan that was read from a file
    """

    server: str
    name: str
    kind: str
    source: str
    destination: str
    group: int = 1
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class Stuck:
    """A server that should move and cannot.

    :param reasons: lines that say why
    """

    server: str
    name: str
    host: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves that reach a goal.

    :param goal: what is reached, in a few words
    :param steps: in their order: each is possible once those before it are made
    :param fewest_moves: no plan that reaches as much, and moves each server once at most, has fewer moves
    :param measures: amounts by name, such as ``hosts``, each before and after the plan, and a bound that no plan passes
    """

    goal: str
    steps: tuple[Step, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    fewest_moves: int = 0
    measures: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


def plain(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        'goal': plan.goal,
        'steps': [{**{key: getattr(step, key) for key in _OF_STEP}, 'cells': _cells(step)} for step in plan.steps],
        'stuck': [
            {'server': one.server, 'name': one.name, 'host': one.host, 'reasons': list(one.reasons)}
            for one in plan.stuck
        ],
        'moves': len(plan.steps),
        'fewest_moves': plan.fewest_moves,
        'measures': {
            name: dict(zip(('before', 'after', 'best'), values, strict=True)) for name, values in plan.measures.items()
        },
    }


def _cells(step: Step) -> list[dict[str, Any]]:
    cells = () if step.placement is None else step.placement.cells
    return [{'host_cell': placed.host_cell, 'cpus': list(cpuset.ids(placed.taken))} for placed in cells]


def read_steps(source: Any) -> tuple[Step, ...]:
    """Return the steps of a plan that :func:`plain` wrote.

    :raises: :class:`~numaplace.exception.Invalid` for anything else
    """
    steps = source.get('steps') if isinstance(source, dict) else None
    if not isinstance(steps, list):
        raise exception.Invalid("expected a plan: an object with a list of 'steps'")
    return tuple([_step(number, each) for number, each in enumerate(steps)])


def _step(number: int, source: Any) -> Step:
    values = source if isinstance(source, dict) else {}
    for key in _OF_STEP:
        expected, kind = ('a whole number', int) if key == 'group' else ('a text', str)
        if not isinstance(values.get(key), kind):
            raise exception.Invalid(f'step {number}: {key} is {values.get(key)!r}: expected {expected}')
    if values['kind'] not in KINDS or values['kind'] == RESIZE:
        known = ', '.join(kind for kind in KINDS if kind != RESIZE)
        raise exception.Invalid(f'step {number}: kind is {values["kind"]!r}: expected one of {known}')
    return Step(**{key: values[key] for key in _OF_STEP})


def lines(plan: Plan) -> Iterator[str]:
    """Yield a plan as text: what it reaches, the moves by group, and what stays behind."""
    number = len(plan.steps)
    fewest = 'the fewest' if number <= plan.fewest_moves else f'at least {plan.fewest_moves:,} are needed'
    groups = len({step.group for step in plan.steps})
    yield f'{explain.escape(plan.goal)}: {_count(number, "move")}' + (
        f' in {_count(groups, "group")}, {fewest}' if number else ''
    )
    for name, (before, after, best) in plan.measures.items():
        yield f'  {name}: {before:,g}, afterwards {after:,g} (bound: {best:,g})'
    for group, steps in groupby(plan.steps, key=lambda step: step.group):
        yield f'group {group}:'
        yield from (f'  {_move(step)}' for step in steps)
    for one in plan.stuck:
        yield f'{explain.escape(one.name)} ({one.server}) cannot leave {explain.escape(one.host)}:'
        yield from (f'  {line}' for line in one.reasons)


def _move(step: Step) -> str:
    cells = () if step.placement is None else step.placement.cells
    words = [
        f'host cell {placed.host_cell}' + (f' CPUs {cpuset.text(placed.taken)}' if placed.taken else '')
        for placed in cells
    ]
    place = f' ({", ".join(words)})' if words else ''
    source, destination = explain.escape(step.source), explain.escape(step.destination)
    return f'{_WORDS.get(step.kind, "cold")} {explain.escape(step.name)}: {source} -> {destination}{place}'


def _count(number: int, noun: str) -> str:
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def with_later(steps: Sequence[Step]) -> list[tuple[Step, tuple[str, ...]]]:
    """Return each step with the destinations of later moves of its server: it has been made if the server is there."""
    later: dict[str, tuple[str, ...]] = {}
    found = []
    for step in reversed(steps):
        known = later.get(step.server, ())
        found.append((step, known))
        later[step.server] = (step.destination, *known)
    return found[::-1]
