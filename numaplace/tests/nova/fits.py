# SPDX-License-Identifier: Apache-2.0
"""One guest on one host, asked of Nova and of numaplace: what they say of each pair, of all together, of the usage."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from numaplace import fit, model, wire
from numaplace.tests import audit, nova_requests
from numaplace.tests.nova import theirs
from numaplace.tests.nova.findings import Finding
from numaplace.tests.property import cases

__all__ = ['Question', 'compare']

#: What explains a disagreement: a known fault of Nova. Anything else is a failure.
SIBLINGS = 'Nova: CPUs without siblings are no cores'
EMULATOR = 'Nova: emulator CPU beside isolate on a core in use'
PAGES = 'Nova: no usage where a host cell names no pages'
CACHE = 'Nova: fit caches mix up unequal guest cells'
LIMIT = 'Nova: overcommit of shared CPUs refuses a guest cell without shared vCPUs'
STICKY = 'Nova: page size of the first host cell tried sticks'


class Question(NamedTuple):
    """A guest, a host and the strategy by name; the host cells are listed by id."""

    host: model.Host
    guest: model.Guest
    limits: model.Limits | None
    networks: model.Networks | None
    strategy: str

    @classmethod
    def of(cls, case: cases.Case) -> 'Question':
        """Return the question of a case: ties go by id here, by the order of listing in Nova."""
        case = case | {'host': sorted(case['host'], key=lambda cell: cell['id'])}
        return cls(*cases.build(case), case['strategy'])


class _Asked:
    """A question in the words of both."""

    def __init__(self, question: Question) -> None:
        self.host, self.guest, self.limits, self.networks, self.strategy = question
        if self.networks and self.limits is None:
            self.limits = model.Limits(16.0, 1.5)  # Nova's networks come with ratios
        written = nova_requests.write_limits(self.limits, self.networks) if self.limits else None
        self.their_limits = theirs.read_limits(written)
        self.their_host = theirs.read_host(wire.write_host(self.host))
        self.their_text = theirs.text(self.their_host)
        self.their_guest = theirs.read_guest(nova_requests.write_guest(self.guest))
        self.written_limits = written

    def emulator(self, number: int) -> int:
        return int(number == 0 and self.guest.emulator_policy == model.ISOLATE)

    def place(self) -> model.Placement | model.Refusal:
        strategy = cases.STRATEGIES[self.strategy]
        return fit.place(self.host, self.guest, limits=self.limits, networks=self.networks, strategy=strategy)


def _our_pair(asked: _Asked, number: int, host_cell: model.HostCell) -> model.CellPlacement | None:
    cell = asked.guest.cells[number]
    alone = model.Guest(
        vcpus=cell.vcpus.bit_count(),
        memory_mib=cell.memory_mib,
        cells=(cell,),
        emulator_policy=model.ISOLATE if asked.emulator(number) else None,
    )
    answer = fit.place(model.Host((host_cell,)), alone, limits=asked.limits)
    return answer.cells[0] if answer else None


def _claim_is_refused(host_cell: Any, fitted: Any) -> bool:
    """Tell whether Nova's own count of usage refuses what its fit answered."""
    host = theirs.objects.NUMATopology(cells=[host_cell])
    return isinstance(theirs.usage(host, theirs.objects.InstanceNUMATopology(cells=[fitted])), str)


def _pair_cause(asked: _Asked, number: int, column: int, ours: model.CellPlacement | None) -> str | None:
    """Return the fault behind a disagreement about a pair: without it, Nova says what numaplace says."""
    cell, emulator = asked.their_guest.cells[number], asked.emulator(number)
    cause = None
    host_cell = asked.their_host.cells[column]
    if not host_cell.siblings or host_cell.pcpuset.difference(*host_cell.siblings):
        cause = SIBLINGS
        host_cell = theirs.repair(host_cell)
    if ours is not None and cell.cpu_policy == model.MIXED and not cell.cpuset:
        cause = cause or LIMIT
        host_cell = host_cell.obj_clone()
        host_cell.cpu_usage = 0
    fitted = theirs.fit_cell(host_cell, cell, asked.their_limits, emulator)
    if bool(fitted) == bool(ours) and not isinstance(fitted, str):
        return cause
    isolated = emulator and cell.cpu_thread_policy == model.ISOLATE
    if isolated and ours is None and not isinstance(fitted, str) and _claim_is_refused(host_cell, fitted):
        return EMULATOR
    return None


def _pairs(asked: _Asked, table: dict[tuple[int, int], bool]) -> Iterator[Finding]:
    """Compare each pair, and fill in what Nova says of it; a known fault counts as what it should have said."""
    for number, cell in enumerate(asked.their_guest.cells):
        for column, host_cell in enumerate(asked.their_host.cells):
            fitted = theirs.fit_cell(host_cell, cell, asked.their_limits, asked.emulator(number))
            ours = _our_pair(asked, number, asked.host.cells[column])
            verdict = bool(fitted) and not isinstance(fitted, str)
            where = f'guest cell {number} on host cell {host_cell.id}: Nova {fitted!r:.80}, numaplace {ours!r:.80}'
            if verdict != bool(ours) or isinstance(fitted, str):
                cause = _pair_cause(asked, number, column, ours)
                yield Finding(cause, where)
                verdict = bool(ours) if cause else verdict
            elif ours is not None and (fitted.pagesize or None) != ours.pagesize_kib:
                yield Finding(None, f'page size: {where}')
            table[number, column] = verdict


def _feasible(asked: _Asked, table: dict[tuple[int, int], bool]) -> bool:
    """Tell whether some assignment of pairs exists for which Nova's rule for networks holds."""
    host_cells = asked.their_host.cells
    known: dict[frozenset[int], bool] = {}
    for columns in itertools.permutations(range(len(host_cells)), len(asked.guest.cells)):
        if all(table[pair] for pair in enumerate(columns)):
            chosen = frozenset(columns)
            if chosen not in known:
                cells = [host_cells[column] for column in columns]
                known[chosen] = theirs.networks_hold(asked.their_host, cells, asked.their_limits)
            if known[chosen]:
                return True
    return False


def _without(data: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    cells = (cell['nova_object.data'] for cell in audit.canon(data)['nova_object.data']['cells'])
    return [{key: value for key, value in cell.items() if key not in names} for cell in cells]


def _usage_causes(asked: _Asked, placement: model.Placement, placed: Any) -> list[str]:
    """Return the faults that keep Nova from counting a placement."""
    chosen = {cell.host_cell for cell in placement.cells}
    causes = []
    if any(not cell.pages and cell.id in chosen for cell in asked.host.cells):
        causes.append(PAGES)
    if not _counts_all(asked.their_host, placed):
        causes.append(SIBLINGS)
    return causes


def _usage(asked: _Asked, placement: model.Placement) -> Iterator[Finding]:
    """Compare the usage after a placement was counted in, and that counting it out again leaves nothing behind."""
    ours = wire.write_host(asked.host.consume(placement))
    placed = theirs.read_guest(wire.write_placement(placement))
    causes = _usage_causes(asked, placement, placed)
    host, before, repaired = asked.their_host, asked.their_text, ()
    if causes:
        host = theirs.repair_all(host, pages=PAGES in causes)
        before, repaired = theirs.text(host), ('siblings', 'mempages') if PAGES in causes else ('siblings',)
    counted = theirs.usage(host, placed)
    if isinstance(counted, str):
        yield Finding(None, f'usage: Nova {counted}')
        return
    same = _without(counted.obj_to_primitive(), *repaired) == _without(ours, *repaired)
    freed = theirs.usage(counted, placed, free=True)
    if isinstance(freed, str) or audit.canon(wire.loads(theirs.text(freed))) != audit.canon(wire.loads(before)):
        yield Finding(None, f'usage: after counting out, Nova {freed!r:.200}')
    for cause in causes if same else [None]:
        yield Finding(cause, f'usage: Nova {counted!r:.200}, numaplace {ours!r:.200}')


def _counts_all(host: Any, placed: Any) -> bool:
    """Tell whether a guest under thread policy isolate is pinned to CPUs of known cores alone."""
    siblings = {cell.id: set().union(*cell.siblings) for cell in host.cells}
    return all(
        cell.cpu_thread_policy != model.ISOLATE
        or siblings[cell.id].issuperset({*(cell.cpu_pinning or {}).values(), *(cell.cpuset_reserved or ())})
        for cell in placed.cells
    )


def _whole_fault(
    asked: _Asked, answer: model.Placement | model.Refusal, placed: dict[str, Any] | str | None
) -> str | None:
    """Return what is wrong with an answer of Nova's own search; None if it is numaplace's."""
    if isinstance(placed, str):
        return placed
    if placed is None:
        return 'wrong no' if answer else None
    if not answer:
        return 'wrong yes'
    host, guest = wire.write_host(asked.host), nova_requests.write_guest(asked.guest)
    if audit.audit(host, guest, asked.written_limits, audit.canon(placed)):
        return 'unsound'
    chosen = [cell['nova_object.data']['id'] for cell in placed['nova_object.data']['cells']]
    same = asked.strategy == 'linear' or chosen == [cell.host_cell for cell in answer.cells]
    return None if same else 'another place'


def _search(asked: _Asked, mended: Sequence[str]) -> dict[str, Any] | str | None:
    """Return the answer of Nova's own search with some of its faults mended."""
    host = theirs.repair_all(asked.their_host, pages=False) if SIBLINGS in mended else asked.their_host
    if LIMIT in mended:
        host = host.obj_clone()
        for cell in host.cells:
            cell.cpu_usage = 0
    return theirs.fit(
        host,
        asked.their_guest,
        asked.their_limits,
        pack=asked.strategy == 'pack',
        caches=CACHE in mended,
        page_sizes=STICKY in mended,
    )


def _whole_causes(
    asked: _Asked, answer: model.Placement | model.Refusal, found: set[str | None]
) -> tuple[str | None, ...]:
    """Return the fewest faults without which Nova's own search says what numaplace says."""
    cells = asked.their_guest.cells
    # Without the usage there is no limit: the same as a limit of no concern, where no guest cell has shared vCPUs.
    unlimited = all(cell.cpu_policy == model.MIXED and not cell.cpuset for cell in cells)
    faults = (SIBLINGS, CACHE, STICKY, LIMIT) if unlimited else (SIBLINGS, CACHE, STICKY)
    for count in range(1, len(faults) + 1):
        for mended in itertools.combinations(faults, count):
            if _whole_fault(asked, answer, _search(asked, mended)) is None:
                return mended
    left = _search(asked, faults)
    isolated = asked.guest.emulator_policy == model.ISOLATE and isinstance(left, dict)
    if EMULATOR in found or (isolated and isinstance(theirs.usage(asked.their_host, theirs.read_guest(left)), str)):
        return (EMULATOR,)
    return (LIMIT,) if LIMIT in found else (None,)


def _whole(asked: _Asked, answer: model.Placement | model.Refusal, found: set[str | None]) -> Iterator[Finding]:
    """Compare Nova's own search: verdict, soundness and, where the order is one of Nova's, the host cells."""
    placed = _search(asked, ())
    fault = _whole_fault(asked, answer, placed)
    if fault is not None:
        causes = _whole_causes(asked, answer, found)
        cause = ' and '.join(str(cause) for cause in causes) if all(causes) else None
        yield Finding(cause and f'whole answer, {fault}: {cause}', f'whole answer, {fault}: Nova {placed!r:.300}')


def _stored(asked: _Asked) -> Iterator[Finding]:
    """Check that each reads what the other writes."""
    host, guest = wire.loads(asked.their_text), asked.their_guest.obj_to_primitive()
    if wire.read_host(host).cells != asked.host.cells or wire.read_host(asked.their_host).cells != asked.host.cells:
        yield Finding(None, 'a host of Nova reads as another')
    if wire.read_guest(guest).cells != asked.guest.cells:
        yield Finding(None, 'a guest of Nova reads as another')
    if audit.canon(host) != audit.canon(wire.write_host(asked.host)):
        yield Finding(None, 'Nova reads another host than was written')
    if audit.canon(guest) != audit.canon(nova_requests.write_guest(asked.guest)):
        yield Finding(None, 'Nova reads another guest than was written')
    if asked.their_limits is not None:
        back = wire.read_limits(asked.their_limits.obj_to_primitive())
        if back != (asked.limits, asked.networks):
            yield Finding(None, f'limits of Nova read as {back}')


def compare(question: Question) -> tuple[bool, list[Finding]]:
    """Ask both.

    :returns: whether it fits, and all disagreements
    """
    asked = _Asked(question)
    table: dict[tuple[int, int], bool] = {}
    found = list(_pairs(asked, table))
    answer = asked.place()
    if _feasible(asked, table) != bool(answer):
        found.append(Finding(None, f'numaplace {answer!r:.200}, but by the pairs it is the other way'))
    if answer:
        if not all(table[number, _column(asked, cell.host_cell)] for number, cell in enumerate(answer.cells)):
            found.append(Finding(None, 'placed on a pair that does not fit'))
        found.extend(_usage(asked, answer))
    found.extend(_whole(asked, answer, {finding.cause for finding in found}))
    found.extend(_stored(asked))
    if theirs.text(asked.their_host) != asked.their_text:
        found.append(Finding(None, 'the host was changed'))
    return bool(answer), found


def _column(asked: _Asked, host_cell: int) -> int:
    return next(column for column, cell in enumerate(asked.host.cells) if cell.id == host_cell)
