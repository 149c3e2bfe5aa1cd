# SPDX-License-Identifier: Apache-2.0
"""Judges the engine's answer to a case: against brute force, by the independent audit, and by the laws it keeps."""

from numaplace import cpuset, fit, model, wire
from numaplace.tests import audit, nova_requests
from numaplace.tests.property import cases, oracle, truth

__all__ = ['brief_faults', 'chain_faults', 'faults', 'limits_faults', 'smallest']


def _chosen(answer):
    return tuple(placed.host_cell for placed in answer.cells) if answer else None


def _verdict_faults(case, answer):
    expected, got = oracle.choose(case), _chosen(answer)
    if expected != got:
        yield f'host cells {got}, brute force says {expected}'


def _placed_faults(case, placed, part):
    cell = next(cell for cell in case['host'] if cell['id'] == placed.host_cell)
    pins = [cpu for _vcpu, cpu in placed.pins]
    expected = oracle.size_of_pages(cell, part) if part['pagesize'] is not None else None
    if placed.pagesize_kib != expected:
        yield f'page size {placed.pagesize_kib}, not {expected}'
    if [vcpu for vcpu, _cpu in placed.pins] != part['dedicated']:
        yield f'pinned vCPUs {placed.pins}'
    if not oracle.pins_follow_policy(cell, part, pins):
        yield f'pins {pins} do not follow thread policy {part["threads"]}'
    taken = set(pins) | set(cpuset.ids(placed.emulator_cpus))
    if part['threads'] == 'isolate':
        taken = taken.union(*(core for core in cell['siblings'] if taken.intersection(core)))
    if set(cpuset.ids(placed.taken)) != taken:
        yield f'takes {sorted(cpuset.ids(placed.taken))}, not {sorted(taken)}'


def _placement_faults(case, asked, answer):
    host, guest, limits, networks = asked
    for placed, part in zip(answer.cells, case['guest'], strict=True):
        yield from _placed_faults(case, placed, part)
    written = nova_requests.write_limits(limits, networks) if limits else None
    yield from audit.audit(
        wire.write_host(host), nova_requests.write_guest(guest), written, wire.write_placement(answer)
    )
    if host.consume(answer).release(answer) != host:
        yield 'release after consume is not the identity'
    again = wire.read_placement(wire.write_placement(answer), host)
    if host.consume(again) != host.consume(answer):
        yield 'written and read again it takes something else'


def _answer_faults(case, asked, answer):
    yield from _verdict_faults(case, answer)
    if answer:
        yield from _placement_faults(case, asked, answer)
    else:
        yield from truth.false_reasons(case, answer.reasons)


def brief_faults(case, answer):
    """Return what is wrong with verdict, host cells, page sizes and pins of an answer to a case."""
    found = list(_verdict_faults(case, answer))
    if answer and not found:
        for placed, part in zip(answer.cells, case['guest'], strict=True):
            found.extend(_placed_faults(case, placed, part))
    return found


def faults(case):
    """Return all that is wrong with the engine's answer to a case."""
    asked = host, guest, limits, networks = cases.build(case)
    before = repr(asked)
    strategy = cases.STRATEGIES[case['strategy']]
    answer = fit.place(host, guest, limits=limits, networks=networks, strategy=strategy)
    found = list(_answer_faults(case, asked, answer))
    if before != repr(asked):
        found.append('an input was changed')
    other = cases.place(case | {'host': case['host'][::-1]})
    if _cells(other) != _cells(answer):
        found.append('another answer for the same host cells listed in another order')
    return found


def _cells(answer):
    return answer.cells if answer else None


def _count_in(cell, part, placed):
    """Return a plain host cell with a guest cell counted in."""
    size = placed.pagesize_kib or min((pages['size'] for pages in cell['pages']), default=None)
    pages = [
        pages | {'used': pages['used'] + part['memory'] * 1024 // size} if pages['size'] == size else pages
        for pages in cell['pages']
    ]
    return cell | {
        'pinned': [*cell['pinned'], *cpuset.ids(placed.taken)],
        'memory_used': cell['memory_used'] + part['memory'],
        'cpu_used': cell['cpu_used'] + len(part['shared']),
        'pages': pages,
    }


def _place_on(host, case):
    """Return what was asked, and the engine's answer on a host that is there already."""
    _, guest, limits, networks = cases.build(case)
    strategy = cases.STRATEGIES[case['strategy']]
    answer = fit.place(host, guest, limits=limits, networks=networks, strategy=strategy)
    return (host, guest, limits, networks), answer


def chain_faults(chain):
    """Return what is wrong when the guests of some cases go to the host of the first, one after the other.

    The host is one value that all guests ask before the first that fits is counted in, and what it counts is
    counted here as well.
    """
    plain, found = chain[0]['host'], []
    host = cases.build(chain[0])[0]
    for _ in chain:
        placed = []
        for case in chain:
            case = case | {'host': plain}
            asked, answer = _place_on(host, case)
            found += _answer_faults(case, asked, answer)
            if answer:
                placed.append((case, answer))
        if not placed:
            break
        case, answer = placed[-1]
        host = host.consume(answer)
        by_id = {cell.host_cell: (part, cell) for part, cell in zip(case['guest'], answer.cells, strict=True)}
        plain = [_count_in(cell, *by_id[cell['id']]) if cell['id'] in by_id else cell for cell in plain]
        if host.cells != cases.build(case | {'host': plain})[0].cells:
            found.append('what the host counts is not what was placed')
    return found


def limits_faults(case):
    """Return what is wrong when one guest value is asked about with one limit after the other."""
    host, guest, _, networks = cases.build(case)
    found = []
    for ratios in (case['limits'], None, [1.0, 1.0], [0.5, 4.0], case['limits']):
        limits = model.Limits(*ratios) if ratios else None
        strategy = cases.STRATEGIES[case['strategy']]
        answer = fit.place(host, guest, limits=limits, networks=networks, strategy=strategy)
        found += _answer_faults(case | {'limits': ratios}, (host, guest, limits, networks), answer)
    return found


def _smaller(case):
    for key in ('host', 'guest'):
        for number in range(len(case[key])):
            if len(case[key]) > 1:
                yield case | {key: case[key][:number] + case[key][number + 1 :]}
    for key in ('emulator', 'limits', 'networks'):
        if case[key] is not None:
            yield case | {key: None}
    for key, lists in (('host', ('pinned', 'pages', 'physnets', 'siblings')), ('guest', ('shared', 'dedicated'))):
        for number, cell in enumerate(case[key]):
            for name in lists:
                for place in range(len(cell[name])):
                    less = cell | {name: cell[name][:place] + cell[name][place + 1 :]}
                    yield case | {key: [*case[key][:number], less, *case[key][number + 1 :]]}


def smallest(case, is_faulty):
    """Return a case that is still faulty and of which no single part can be left out."""
    for smaller in _smaller(case):
        if is_faulty(smaller):
            return smallest(smaller, is_faulty)
    return case
