# SPDX-License-Identifier: Apache-2.0
"""Refusals as text, for commands, log lines and documentation."""

from numaplace.explain.codes import CODES, Code
from numaplace.explain.escaping import escape, shorten
from numaplace.explain.grouping import MANY_HOSTS, HostRefusal, counted, grouped, plain, plain_counts
from numaplace.explain.reasons import code_of, lines, sentence
from numaplace.explain.summary import nearness, summary

__all__ = [
    'CODES',
    'MANY_HOSTS',
    'Code',
    'HostRefusal',
    'code_of',
    'counted',
    'escape',
    'grouped',
    'lines',
    'nearness',
    'plain',
    'plain_counts',
    'sentence',
    'shorten',
    'summary',
]
