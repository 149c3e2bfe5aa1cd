# SPDX-License-Identifier: Apache-2.0
"""The program ``numaplace-nova-compute``: Nova's own nova-compute, whose claims and tracker use numaplace.

Neither Nova nor anything that Nova has to import first is imported before Nova's command.
"""

from __future__ import annotations

import sys

from numaplace import exception

__all__ = ['main']

#: The name of Nova's own program: it selects the configuration files that are read by default.
_PROGRAM = 'nova-compute'


def main() -> None:
    """Start nova-compute with the arguments of this process.

    :raises: SystemExit with one line if Nova is not there or not known, or if the configuration is wrong
    """
    try:
        from nova.cmd import compute  # noqa: PLC0415 - its import selects the threading of this process
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

    # Nova reads its files in its main, which is too late for the mode. Its main can still read them again.
    config.parse_args(sys.argv, configure_db=False, init_rpc=False)
    engine.install_compute(engine.install())
    config.CONF.clear()
