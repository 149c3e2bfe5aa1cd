# SPDX-License-Identifier: Apache-2.0
"""Make the moves of a plan in thought."""

from itertools import groupby

__all__ = ['moved', 'replay']


def replay(state, plan):
    """Make the moves by group: each is offered what the plan says, while the others of its group hold both places."""
    state = state.copy()
    for _group, steps in groupby(plan.steps, key=lambda step: step.group):
        made = list(steps)
        assert not {step.source for step in made} & {step.destination for step in made}
        for step in made:
            assert step.source == state.servers[step.server].host
            assert state.offer(step.server, (step.kind,), step.destination) == (step.kind, step.placement)
            state.claim(step.server, step.kind, step.destination, step.placement)
        for step in made:
            state.release(step.server)
    return state


def moved(plan):
    """Return how many servers move."""
    return len({step.server for step in plan.steps})
