# SPDX-License-Identifier: Apache-2.0
"""The boundary to Nova: a fault of numaplace is a line in the log, and Nova continues.

Nova's callers handle the exceptions of Nova. Any other exception causes tracebacks, retries on other compute nodes, or
an audit that ends early.
"""

from __future__ import annotations

import functools

from oslo_log import log as logging

from numaplace import explain

__all__ = ['tell']

LOG = logging.getLogger(__name__)

#: An untrusted text may be of any length.
_MOST_CHARACTERS = 300


def tell(what: str, error: Exception, then: str) -> str:
    """Log a fault: one warning, because the same request meets it on every host, and the traceback for debugging.

    :param what: what numaplace was asked to do
    :param then: what happens instead
    :returns: the fault in one line
    """
    fault = explain.escape(f'{type(error).__name__}: {error}'[:_MOST_CHARACTERS])
    line = f'numaplace cannot {what}: {fault}; {then}'
    _warn_once(line)
    LOG.debug('%s', line, exc_info=error)
    return fault


@functools.lru_cache(maxsize=1024)
def _warn_once(line: str) -> None:
    LOG.warning('%s', line)
