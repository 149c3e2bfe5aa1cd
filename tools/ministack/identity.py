# SPDX-License-Identifier: Apache-2.0
"""A replacement of Keystone: every user is the same administrator of the same project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ['factory']

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: What Keystone's middleware would pass to Nova after it has checked a token.
_WHO = {
    'HTTP_X_USER_ID': 'ministack-admin',
    'HTTP_X_PROJECT_ID': 'ministack',
    'HTTP_X_ROLES': 'admin,member,reader',
}


def factory(_global_conf: dict[str, str], **_local_conf: str) -> Callable[[_Application], _Application]:
    """Return the filter for a pipeline of Paste."""

    def wrap(application: _Application) -> _Application:
        return lambda environ, start_response: application(environ | _WHO, start_response)

    return wrap
