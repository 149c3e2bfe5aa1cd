# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path

__all__ = ['add_devices']


def add_devices(monitor: Path, devices: Sequence[dict[str, object]]) -> None:
    """Add devices to a running machine.

    :param monitor: its socket
    :param devices: arguments of ``device_add``
    :raises: RuntimeError if QEMU refuses
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(monitor))
        with connection.makefile('rw') as stream:
            stream.readline()  # the greeting
            _ask(stream, 'qmp_capabilities', {})
            for device in devices:
                _ask(stream, 'device_add', device)


def _ask(stream, command: str, arguments: dict[str, object]) -> None:
    stream.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if 'error' in answer:
            raise RuntimeError(f'QEMU refuses {command} {arguments}: {answer["error"]["desc"]}')
        if 'return' in answer:  # others are events
            return
    raise RuntimeError(f'QEMU has ended at {command} {arguments}')
