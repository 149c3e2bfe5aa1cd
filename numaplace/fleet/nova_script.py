# SPDX-License-Identifier: Apache-2.0
"""A plan as a shell script of ``openstack server`` lines that makes its moves in a Nova, with checks between them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import groupby

from numaplace import explain
from numaplace.fleet.plan import Plan, with_later
from numaplace.model.records import EVACUATION, LIVE_MIGRATION

__all__ = ['lines']

#: Kinds of moves as the script names them; all others are cold.
_WORDS = {LIVE_MIGRATION: 'live', EVACUATION: 'evacuate'}

_HEAD = """\
#!/bin/sh
# {goal}: {number}, by numaplace. Each is made alone and checked; the script ends at the first surprise.
# It may be started again: servers that are at their destinations are left out. PATIENCE is how many seconds to wait for
# a move at most.
set -eu
patience=${{PATIENCE:-3600}}
fail() {{ echo "$1" >&2; exit 1; }}
look() {{ # find out where the server is, and its status
    shown=$(openstack server show -f shell -c status -c OS-EXT-SRV-ATTR:host "$server") || fail "$server is not shown"
    status=$(printf '%s\\n' "$shown" | sed -n 's/^status="\\(.*\\)"$/\\1/p')
    here=$(printf '%s\\n' "$shown" | sed -n 's/^os.ext.srv.attr.host="\\(.*\\)"$/\\1/p')
}}
settle() {{ # STATUS...: wait until the server has one of these
    end=$(($(date +%s) + patience))
    while :; do
        look
        for wanted in "$@"; do
            [ "$status" != "$wanted" ] || return 0
        done
        [ "$status" != ERROR ] || fail "$server is in ERROR"
        [ "$(date +%s)" -lt "$end" ] || fail "$server is still $status"
        sleep 2
    done
}}
confirm() {{ # STATUS...: confirm a cold migration, if there is one, and wait
    [ "$status" = VERIFY_RESIZE ] || return 0
    openstack server resize confirm "$server"
    settle "$@"
}}
move() {{ # KIND SERVER SOURCE DESTINATION, and where later moves take it
    kind=$1; server=$2; source=$3; destination=$4; shift 3
    look
    for each in "$@"; do
        if [ "$here" = "$each" ]; then
            settle ACTIVE SHUTOFF PAUSED VERIFY_RESIZE
            confirm ACTIVE SHUTOFF
            return
        fi
    done
    [ "$here" = "$source" ] || fail "$server is not on $source"
    before=$status
    case $before in ACTIVE | SHUTOFF | PAUSED) ;; *) fail "$server is $before" ;; esac
    echo "$kind $server: $source -> $destination"
    case $kind in
    live) openstack --os-compute-api-version 2.30 server migrate --live-migration --host "$destination" "$server"
          settle "$before" ;;
    cold) openstack --os-compute-api-version 2.56 server migrate --host "$destination" "$server"
          settle VERIFY_RESIZE "$before"
          confirm "$before" ;;
    evacuate) openstack --os-compute-api-version 2.29 server evacuate --host "$destination" "$server"
          settle ACTIVE SHUTOFF ;;
    esac
    [ "$here" = "$destination" ] || fail "$server has not arrived at $destination"
}}
"""


def lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of the script: what it needs, the moves one after the other, and what stays behind.

    Servers are given by UUID, their names are comments.
    """
    yield from _HEAD.format(goal=_comment(plan.goal), number=_count(len(plan.steps))).splitlines()
    for group, steps in groupby(with_later(plan.steps), key=lambda each: each[0].group):
        yield f'# group {group}'
        for step, later in steps:
            words = (_WORDS.get(step.kind, 'cold'), step.server, step.source, step.destination, *later)
            yield f'move {" ".join(map(shlex.quote, words))}  # {_comment(step.name)}'
    for one in plan.stuck:
        yield f'# {_comment(one.name)} ({_comment(one.server)}) cannot leave {_comment(one.host)}'


def _comment(text: str) -> str:
    """Return a text that ends no line and is safe in a terminal."""
    return ' '.join(explain.escape(text).split())


def _count(number: int) -> str:
    return f'{number:,} move{"" if number == 1 else "s"}'
