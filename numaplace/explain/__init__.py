# SPDX-License-Identifier: Apache-2.0
"""Refusals in words, for commands, log lines and documentation."""

from numaplace.explain.escaping import escape
from numaplace.explain.reasons import CODES, Code, code_of, lines, sentence
from numaplace.explain.summary import summary

__all__ = ['CODES', 'Code', 'code_of', 'escape', 'lines', 'sentence', 'summary']
