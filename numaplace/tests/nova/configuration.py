# SPDX-License-Identifier: Apache-2.0
"""Where Nova's own fixtures look for Nova's files; imported once its tests have set up threads."""

import importlib.metadata

from nova.conf import paths

__all__ = ['find']


def find():
    """Let Nova's fixtures find the files that the wheel has put elsewhere than a source tree has them."""
    paste = next(path for path in importlib.metadata.files('nova') if path.name == 'api-paste.ini').locate().resolve()
    (base,) = (option for option in paths.ALL_OPTS if option.name == 'pybasedir')
    base.default = str(paste.parents[2])
