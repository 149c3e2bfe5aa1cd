# SPDX-License-Identifier: Apache-2.0
"""The program ``numaplace-nova-compute``: Nova's own nova-compute, whose claims and tracker decide by numaplace.

Nothing of Nova, nor of what Nova has to import first, is imported before Nova's command.
"""

from __future__ import annotations

import sys

from numaplace import exception

__all__ = ['main']

#: As Nova's own program is called: the name decides which files of configuration are read where none is given.
_PROGRAM = 'nova-compute'


def main() -> None:
    """Start nova-compute with the arguments of this process.

    :raises: SystemExit with one line if Nova is not there or not known, or if the configuration is wrong
    """
    try:
        from nova.cmd import compute  # noqa: PLC0415 - its import decides how this process does threads
    except ModuleNotFoundError as error:
        if error.name != 'nova':
            raise
        sys.exit('numaplace-nova-compute: Nova is not installed in the environment of this program')
    sys.argv[0] = _PROGRAM
    try:
        _install()
    except exception.NumaplaceException as error:
        sys.exit(f'numaplace-nova-compute: {error}')
    compute.main()


def _install() -> None:
    from nova import config  # noqa: PLC0415

    from numaplace.nova import engine  # noqa: PLC0415

    # Nova reads its files in its main, too late for the mode; there it reads them as for the first time.
    config.parse_args(sys.argv, configure_db=False, init_rpc=False)
    engine.install_compute(engine.install())
    config.CONF.clear()
