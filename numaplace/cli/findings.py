# SPDX-License-Identifier: Apache-2.0
"""The table of findings that audits print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from numaplace.cli import base

if TYPE_CHECKING:
    import argparse

    from numaplace.fleet.findings import Finding

__all__ = ['table']

_COLUMNS = ('code', 'severity', 'host', 'server', 'cell', 'found', 'expected', 'text')
#: What a table has room for: the text says the rest.
_COLUMNS_OF_TABLE = ('code', 'severity', 'host', 'server', 'cell', 'text')


def table(
    findings: Iterable[Finding], parsed_args: argparse.Namespace
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the names of the columns, and a row for each finding."""
    columns = _COLUMNS_OF_TABLE if parsed_args.formatter == 'table' and not parsed_args.columns else _COLUMNS
    return columns, [tuple([_cell(getattr(finding, name)) for name in columns]) for finding in findings]


def _cell(value: Any) -> Any:
    return base.Text(value) if isinstance(value, str) else value
