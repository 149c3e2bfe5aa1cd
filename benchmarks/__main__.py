# SPDX-License-Identifier: Apache-2.0
"""Run the benchmark classes without asv: ``python -m benchmarks [part of the name]``."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks import fit, partition, pci, reasons, request, wire
from benchmarks.clock import Side, duration, medians

__all__ = ['main']


def _benchmarks() -> Iterator[tuple[str, type[Any], str]]:
    """Yield the name, the class and the method of each benchmark."""
    for module in (fit, partition, pci, reasons, request, wire):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__ and hasattr(kind, 'params'):
                area = module.__name__.rpartition('.')[2]
                for method in dir(kind):
                    if method.startswith('time_'):
                        yield f'{area}.{kind.__name__}.{method}', kind, method


def _median(kind: type[Any], method: str, values: tuple[object, ...]) -> float | None:
    """Return the median of one benchmark for one choice of its parameters, None if there is nothing to measure."""
    benchmark = kind()
    try:
        benchmark.setup(*values)
    except NotImplementedError:
        return None

    def prepare() -> tuple[Any, ...]:
        if getattr(kind, 'number', 0) == 1:
            prepared = kind()
            prepared.setup(*values)
        else:
            prepared = benchmark
        return (getattr(prepared, method), *values)

    side = Side(prepare, lambda call, *arguments: call(*arguments))
    return medians({'': side}, rounds=7)['']


def main() -> None:
    """Print a line for each benchmark and choice of parameters."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description='Run the benchmark classes without asv.')
    parser.add_argument('only', nargs='?', default='', metavar='TEXT', help='only benchmarks whose name holds this')
    options = parser.parse_args()
    for name, kind, method in _benchmarks():
        for values in itertools.product(*kind.params):
            described = ', '.join(f'{key}={value}' for key, value in zip(kind.param_names, values, strict=True))
            line = f'{name}({described})'
            if options.only not in line:
                continue
            seconds = _median(kind, method, values)
            if seconds is not None:
                sys.stdout.write(f'{line:<72} {duration(seconds):>9}\n')
                sys.stdout.flush()


if __name__ == '__main__':
    main()
