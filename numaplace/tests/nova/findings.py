# SPDX-License-Identifier: Apache-2.0
"""A disagreement between Nova and numaplace, and the tally of many."""

from typing import NamedTuple

__all__ = ['Finding']


class Finding(NamedTuple):
    """A disagreement.

    :param cause: the known fault of Nova or difference behind it; None if there is none
    """

    cause: str | None
    text: str
