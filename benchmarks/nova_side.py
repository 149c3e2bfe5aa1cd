# SPDX-License-Identifier: Apache-2.0
"""Nova 34 as it is installed here: its objects, its fit, and a time limit for fits that do not end."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

__all__ = ['Nova', 'seconds_within']

Primitive = dict[str, Any]


class Nova:
    """What nova-scheduler and nova-compute call, with logging off. Needs Nova in this interpreter."""

    def __init__(self) -> None:
        # Not at the top: asv imports every file here, and its environments have no Nova.
        self._objects: Any = importlib.import_module('nova.objects')
        self._objects.register_all()
        self._hardware: Any = importlib.import_module('nova.virt.hardware')
        importlib.import_module('nova.conf').CONF([], project='nova', default_config_files=[])
        logging.disable(logging.CRITICAL)

    def host(self, text: str) -> Any:
        """Return a host's topology from the JSON of its column."""
        return self._objects.NUMATopology.obj_from_db_obj(text)

    def guest(self, data: Primitive) -> Any:
        """Return a guest's topology."""
        return self._objects.InstanceNUMATopology.obj_from_primitive(data)

    def limits(self, data: Primitive | None) -> Any:
        """Return the limits, None if there are none."""
        return None if data is None else self._objects.NUMATopologyLimits.obj_from_primitive(data)

    def fit(self, host: Any, guest: Any, limits: Any) -> Any:
        """Return the placed topology or None. Changes the guest, so each call needs one of its own."""
        return self._hardware.numa_fit_instance_to_host(host, guest, None, limits=limits)

    def answer(self, host: Any, guest: Any, limits: Any) -> Primitive | str | None:
        """Return the placed topology as JSON, None, or the name of the error that it raises."""
        try:
            placed = self.fit(host, guest.obj_clone(), limits)
        except Exception as error:  # noqa: BLE001 - the failure is the answer
            return type(error).__name__
        return None if placed is None else dict(placed.obj_to_primitive())

    def seconds_within(self, limit_s: float, host: Any, guest: Any, limits: Any) -> tuple[float, bool]:
        """Return what :func:`seconds_within` returns for one fit."""
        return seconds_within(limit_s, lambda: self.fit(host, guest, limits))


def seconds_within(limit_s: float, call: Callable[[], object]) -> tuple[float, bool]:
    """Return the processor time of a call in a process of its own, and whether it finished.

    :param limit_s: wall-clock time; a process that is stopped there may have used less processor time
    """
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(sender, call), daemon=True)
    before = _children_seconds()
    child.start()
    try:
        if receiver.poll(limit_s):
            return float(receiver.recv()), True
    finally:
        child.kill()
        child.join()
    return _children_seconds() - before, False


def _report(sender: Connection, call: Callable[[], object]) -> None:
    start = time.thread_time()
    call()
    sender.send(time.thread_time() - start)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
