# SPDX-License-Identifier: Apache-2.0
"""Who chooses hosts for a command: the command itself, or a scheduler on the message bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace import exception

if TYPE_CHECKING:
    from numaplace.cli.main import App
    from numaplace.operations.servers import Direct
    from numaplace.services.client import Remote

__all__ = ['chosen']


def chosen(app: App, *, all_hosts: bool = False, is_dry: bool = False) -> Direct | Remote:
    """Return who chooses hosts, as ``--scheduler`` or else the configuration says.

    :param all_hosts: whether a refusal shows the reasons of each host
    :param is_dry: whether nothing may be written, which only the command itself can undo
    :raises: :class:`~numaplace.exception.InvalidConfiguration` if the libraries of the bus are not installed
    """
    from numaplace.conf.numaplace import RPC

    if (app.options.scheduler or app.conf.numaplace.scheduler) == RPC and not is_dry:
        try:
            from numaplace.services.client import Remote
        except ModuleNotFoundError as error:
            raise exception.InvalidConfiguration(
                f'[numaplace] scheduler = {RPC}: {error.name} is not installed: expected the extra services, as '
                "`pip install 'numaplace[services]'` installs it"
            ) from None
        return Remote(app.conf, app.conf.config_file or (), told=lambda worker: app.note(f'decided by {worker}'))
    from numaplace.operations.servers import Direct

    return Direct(app.conf, all_hosts)
