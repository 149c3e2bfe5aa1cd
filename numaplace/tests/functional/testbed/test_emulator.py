# SPDX-License-Identifier: Apache-2.0
"""QEMU that crashes is started again; what a guest does wrong stays a failure."""

import os
import signal

import pytest


def test_a_crash_is_followed_by_another_start(testbed):
    starts = iter([testbed.emulator.Crashed('first'), testbed.emulator.Crashed('second'), 'told'])

    def run():
        given = next(starts)
        if isinstance(given, Exception):
            raise given
        return given

    assert testbed.emulator.restarted(run) == 'told'


def test_what_crashes_each_time_fails(testbed, tmp_path, monkeypatch):
    program = tmp_path / 'qemu-system-x86_64'
    program.write_text(f'#!/bin/sh\necho start >> {tmp_path}/starts\nkill -{signal.SIGSEGV:d} $$\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    with pytest.raises(testbed.emulator.Crashed, match=r'did not come to its end \(-11\)'):
        testbed.guest.boot([], tmp_path, tmp_path)
    assert (tmp_path / 'starts').read_text().split() == ['start'] * 3


def test_a_guest_without_an_end_is_no_crash(testbed, tmp_path, monkeypatch):
    program = tmp_path / 'qemu-system-x86_64'
    program.write_text(f'#!/bin/sh\necho start >> {tmp_path}/starts\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    with pytest.raises(RuntimeError, match=r'did not come to its end \(1\)'):
        testbed.guest.boot([], tmp_path, tmp_path)
    assert (tmp_path / 'starts').read_text().split() == ['start']
