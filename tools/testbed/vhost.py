# SPDX-License-Identifier: Apache-2.0
"""A virtual host: a machine of several nodes that QEMU emulates, with a kernel, libvirtd and QEMU of its own.

There is no network: its input and its results are on disks.
"""

import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from testbed import emulator, ext4, log, qmp
from testbed.machine import Machine

__all__ = ['Boot', 'run']

_RESULT_MIB = 64

#: A randomly placed kernel would at times occupy memory that a page of 1 GiB needs.
_KERNEL = (
    'nokaslr console=ttyS0 quiet panic=-1 mitigations=off tsc=unstable numa_balancing=disable '
    'root=/dev/nvme0n1 rw init=/sbin/vhost-init'
)

#: All CPUs take turns in one thread: libvirt and a QEMU that it starts mostly wait for each other, which takes
#: twice as long across threads.
_ACCELERATOR = ('-accel', 'tcg,thread=single')

#: The console line that shows that the machine runs.
_RUNS = '=== init '


@dataclass(frozen=True)
class Boot:
    """The result of a boot.

    :param marks: seconds from the kernel's start, by event
    :param wall_s: from QEMU's start to its end
    """

    marks: dict[str, float]
    wall_s: float


def run(
    machine: Machine,
    image: Path,
    kernel: Path,
    payload: Path,
    result: Path,
    *,
    cgroups: bool = False,
    keep: bool = False,
    timeout_s: float = 600,
) -> Boot:
    """Boot a machine, execute ``run`` of a directory on it, and fetch what that leaves in ``/result``.

    :param image: its disk; each run starts with the original contents
    :param payload: is mounted as ``/payload``; its ``bin`` is on PATH, its ``site`` on Python's path
    :param result: becomes a directory with what was left, ``log`` (output of ``run``), ``status`` (its exit status),
        ``console`` and ``dmesg``
    :param cgroups: whether libvirt finds control groups to put its guests in
    :param keep: whether writes to the disk are kept
    :raises: RuntimeError with the console if the machine does not end, or with the log if ``run`` fails;
        testbed.log.KernelFault
    """
    result.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        disk, told, monitor = Path(scratch, 'payload'), Path(scratch, 'result'), Path(scratch, 'monitor')
        ext4.make(payload, disk)
        with told.open('wb') as file:
            file.truncate(_RESULT_MIB * 1024**2)
        words = f'{_KERNEL} {machine.parameters} vhost_name={machine.name} vhost_cpus={machine.cpus}'
        command = [
            'qemu-system-x86_64',
            *('-machine', 'q35', *_ACCELERATOR, '-nodefaults', '-no-user-config'),
            *('-display', 'none', '-no-reboot'),
            *('-serial', f'file:{result / "console"}', '-qmp', f'unix:{monitor},server=on,wait=off'),
            *machine.options(),
            *('-kernel', str(kernel), '-append', words + (' vhost_cgroups=1' if cgroups else '')),
            *('-device', 'nvme,id=disks,bus=pcie.0,serial=disks'),
            *_disk(1, image, f'cache=unsafe,snapshot={"off" if keep else "on"}'),
            *_disk(2, disk, 'readonly=on'),
            *_disk(3, told, 'cache=unsafe'),
        ]
        start = time.monotonic()
        try:
            emulator.restarted(lambda: _watch(command, machine, monitor, result / 'console', timeout_s))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise RuntimeError(f'{machine.name}: {error}\n{_end_of(result / "console")}') from error
        wall_s = time.monotonic() - start
        marks = _marks(result / 'console')
        if 'end' not in marks:
            raise RuntimeError(f'{machine.name} did not come to its end\n{_end_of(result / "console")}')
        with tarfile.open(told) as archive:
            archive.extractall(result, filter='data')
    log.check((result / 'dmesg').read_text(errors='replace'))
    status = _end_of(result / 'status').strip()
    if status != '0':
        told = _end_of(result / 'log') or _end_of(result / 'console')
        raise RuntimeError(f'{machine.name}: run ended with status {status or "unknown"}\n{told}')
    return Boot(marks, wall_s)


def _disk(number: int, file: Path, options: str) -> tuple[str, ...]:
    return (
        *('-drive', f'id=disk{number},if=none,format=raw,file={file},{options}'),
        *('-device', f'nvme-ns,bus=disks,nsid={number},drive=disk{number}'),
    )


def _watch(command: list[str], machine: Machine, monitor: Path, console: Path, timeout_s: float) -> None:
    """Start QEMU, add CPUs when the machine runs, and wait for its end.

    :raises: subprocess.TimeoutExpired, RuntimeError
    """
    latest = time.monotonic() + timeout_s
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        if added := machine.added_cpus():
            while qemu.poll() is None and _RUNS not in _end_of(console):
                if time.monotonic() > latest:
                    raise RuntimeError('the kernel does not come to its init')
                time.sleep(0.1)
            if qemu.poll() is None:
                qmp.add_devices(monitor, added)
        printed, _ = qemu.communicate(timeout=max(latest - time.monotonic(), 0))
    finally:
        qemu.kill()
        qemu.wait()
    if qemu.returncode:
        fault = emulator.Crashed if qemu.returncode < 0 else RuntimeError
        raise fault(f'QEMU ended with status {qemu.returncode}: {printed.decode(errors="replace")}')


def _end_of(file: Path) -> str:
    return file.read_text(errors='replace')[-4000:] if file.exists() else ''


def _marks(console: Path) -> dict[str, float]:
    lines = console.read_text(errors='replace').replace('\r', '').splitlines()
    found = (line.split() for line in lines if line.startswith('=== '))
    return {name: float(seconds) for _, name, seconds in found}
