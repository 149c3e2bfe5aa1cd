# SPDX-License-Identifier: Apache-2.0
"""Serve the WSGI application of a module on an open socket: ``python -m ministack.serve MODULE FD``.

The socket listens before the application is loaded, so that early requests wait instead of failing.
"""

import importlib
import socket
import sys


def main() -> None:
    """Load the application and serve it until the process is stopped."""
    name, descriptor = sys.argv[1], int(sys.argv[2])
    # Nova's API parses the arguments of its process.
    del sys.argv[1:]
    application = importlib.import_module(name).application
    # Nova must decide first whether it patches the standard library.
    waitress = importlib.import_module('waitress')
    waitress.serve(application, sockets=[socket.socket(fileno=descriptor)], threads=8, ident=None)


if __name__ == '__main__':
    main()
