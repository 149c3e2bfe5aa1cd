# SPDX-License-Identifier: Apache-2.0
"""Refusals as text, for commands, log lines and documentation."""

from numaplace.explain.escaping import escape, shorten
from numaplace.explain.grouping import HostRefusal, grouped, plain
from numaplace.explain.reasons import CODES, Code, code_of, lines, sentence
from numaplace.explain.summary import nearness, summary

__all__ = [
    'CODES',
    'Code',
    'HostRefusal',
    'code_of',
    'escape',
    'grouped',
    'lines',
    'nearness',
    'plain',
    'sentence',
    'shorten',
    'summary',
]
