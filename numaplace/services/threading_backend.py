# SPDX-License-Identifier: Apache-2.0
"""oslo.service on threads: this has to be chosen before anything else imports it, as oslo.messaging does."""

import warnings

with warnings.catch_warnings():
    # futurist imports eventlet where it is installed, which warns of its end; nothing here uses it.
    warnings.simplefilter('ignore')
    import cotyledon  # noqa: F401 - oslo.service runs threads on it, and does not say that it is missing
    from oslo_service import backend

    if backend.get_backend_type() is None:  # a command may have imported oslo.versionedobjects, which chooses one
        backend.init_backend(backend.BackendType.THREADING)
    import oslo_messaging
    from oslo_messaging import opts
    from oslo_service import service

__all__ = ['opts', 'oslo_messaging', 'service']
