# SPDX-License-Identifier: Apache-2.0
"""Judge the engine over many seeded cases: ``python -m numaplace.tests.property.sweep --cases N --seed S --jobs J``."""

import argparse
import functools
import json
import multiprocessing
import sys
import time
from typing import NamedTuple

from numaplace.tests.property import cases, judge, partition_cases, partition_judge, pci_cases, pci_judge

__all__ = ['Report', 'run']

#: Cases that a process judges between two reports.
_CHUNK = 500
#: Every so many cases, some guests share one host value.
_SHARED = 40


class Report(NamedTuple):
    """What a sweep found: how many cases, how many of them fit, and ``(seed, faults)`` of the faulty ones."""

    cases: int
    fitting: int
    faulty: list[tuple[int, list[str]]]


def _faults(seed: int, case: cases.Case, answer: object, *, brief: bool) -> list[str]:
    if brief:
        return judge.brief_faults(case, answer)
    found = judge.faults(case)
    if seed % _SHARED == 0:
        found += judge.chain_faults([case, *(cases.draw(seed + more) for more in (1, 2))])
        found += judge.chain_faults([case, *cases.variants(case, seed, 3)])
        found += judge.limits_faults(case)
    return found


def _judge_fit(seed: int, brief: bool) -> tuple[bool, list[str]]:
    case = cases.draw(seed)
    answer = cases.place(case)
    return bool(answer), _faults(seed, case, answer, brief=brief)


def _judge_auto(seed: int, _brief: bool) -> tuple[bool, list[str]]:
    case = partition_cases.draw(seed)
    answer = partition_cases.place(case)
    return bool(answer), partition_judge.faults(case, answer)


def _judge_pci(seed: int, _brief: bool) -> tuple[bool, list[str]]:
    case = pci_cases.draw(seed)
    everywhere = frozenset(cell for cell, _socket in case['sockets'])
    return pci_cases.build(case)[0].supports(everywhere), pci_judge.faults(case)


_JUDGES = {'fit': _judge_fit, 'auto': _judge_auto, 'pci': _judge_pci}


def _judge(seeds: range, brief: bool = False, kind: str = 'fit') -> Report:
    fitting, faulty = 0, []
    for seed in seeds:
        try:
            fits, found = _JUDGES[kind](seed, brief)
            fitting += fits
        except Exception as error:  # noqa: BLE001  whatever the engine raises is a fault of its answer
            found = [f'raised {error!r}']
        if found:
            faulty.append((seed, found))
    return Report(len(seeds), fitting, faulty)


def _judged(count: int, seed: int, jobs: int, brief: bool, kind: str):
    chunks = [range(first, min(first + _CHUNK, seed + count)) for first in range(seed, seed + count, _CHUNK)]
    if jobs == 1:
        yield from (_judge(chunk, brief, kind) for chunk in chunks)
        return
    with multiprocessing.get_context('spawn').Pool(jobs) as pool:
        yield from pool.imap(functools.partial(_judge, brief=brief, kind=kind), chunks)


def run(
    count: int, seed: int = 0, jobs: int = 1, *, brief: bool = False, kind: str = 'fit', progress=lambda done: None
) -> Report:
    """Judge the cases of the seeds from `seed` on.

    :param brief: only verdict, host cells, page sizes and pins, not the laws
    :param kind: ``fit``, ``auto`` for automatic vNUMA, or ``pci`` for the assignment of PCI devices
    :param jobs: number of processes
    :param progress: is called from time to time with the number of cases that are done
    """
    total = Report(0, 0, [])
    for part in _judged(count, seed, jobs, brief, kind):
        total = Report(total.cases + part.cases, total.fitting + part.fitting, total.faulty + part.faulty)
        progress(total)
    return total


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m numaplace.tests.property.sweep', description=__doc__)
    parser.add_argument('--cases', type=int, default=100_000, help='how many (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='the first seed (default: %(default)s)')
    parser.add_argument('--jobs', type=int, default=1, help='number of processes (default: %(default)s)')
    parser.add_argument('--brief', action='store_true', help='verdict, host cells, page sizes and pins, not the laws')
    parser.add_argument(
        '--auto', dest='kind', action='store_const', const='auto', default='fit', help='automatic vNUMA, not the fit'
    )
    parser.add_argument('--pci', dest='kind', action='store_const', const='pci', help='PCI devices, not the fit')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Judge, print count and rate, and the smallest form of the first faulty case; the status is 1 if there is one."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    start = time.monotonic()

    def show(report: Report) -> None:
        rate = report.cases / (time.monotonic() - start)
        state = f'{report.cases} cases, {report.fitting} fit, {len(report.faulty)} faulty, {rate:.0f} a second'
        sys.stdout.write(f'\r{state}' if sys.stdout.isatty() else f'{state}\n' if report.cases % 100_000 == 0 else '')
        sys.stdout.flush()

    report = run(options.cases, options.seed, options.jobs, brief=options.brief, kind=options.kind, progress=show)
    seconds = time.monotonic() - start
    print(  # noqa: T201
        f'\n{report.cases} cases from seed {options.seed} in {seconds:.0f} s, {report.cases / seconds:.0f} a second: '
        f'{report.fitting} fit, {len(report.faulty)} faulty'
    )
    for seed, found in report.faulty[:20]:
        print(f'seed {seed}: {len(found)} faults: {found[0]}')  # noqa: T201
    for seed, found in report.faulty[:1] if options.kind == 'fit' else ():
        case = cases.draw(seed)
        if not found[0].startswith('raised') and judge.faults(case):
            print(json.dumps(judge.smallest(case, judge.faults), indent=1))  # noqa: T201
    return 1 if report.faulty else 0


if __name__ == '__main__':
    sys.exit(main())
