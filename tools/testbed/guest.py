# SPDX-License-Identifier: Apache-2.0
"""A guest that boots a real kernel, prints on its console what the kernel sees, and powers off."""

import gzip
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed import emulator, log

__all__ = ['boot', 'build_initramfs']

_BUSYBOX = '/bin/busybox'

#: What the kernel reports of its CPUs, nodes and devices: a line with the name of each file, then its content.
_INIT = f"""#!{_BUSYBOX} sh
{_BUSYBOX} mkdir -p /bin /proc /sys
{_BUSYBOX} --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
cd /sys/devices/system
awk 'FNR == 1 {{ print "=== " FILENAME }} 1' cpu/online cpu/possible cpu/cpu*/topology/* \\
    cpu/cpu*/cache/index*/[cilnst]* node/online node/possible node/has_cpu node/has_memory \\
    node/node*/cpulist node/node*/cpumap node/node*/distance node/node*/meminfo node/node*/memory*/state \\
    /sys/bus/pci/devices/*/numa_node /sys/bus/pci/devices/*/class
echo "=== dmesg"
dmesg
echo "=== end"
poweroff -f
"""

#: Only the devices of the guest.
_BARE = ('-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot')


def build_initramfs(path: Path) -> Path:
    """Write the file system that the kernel starts with: busybox and a script.

    :raises: FileNotFoundError without busybox
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / 'bin').mkdir()
        (root / 'bin' / 'busybox').write_bytes(Path(_BUSYBOX).read_bytes())
        (root / 'init').write_text(_INIT)
        for program in (root / 'bin' / 'busybox', root / 'init'):
            program.chmod(0o755)
        names = '\n'.join(str(each.relative_to(root)) for each in sorted(root.rglob('*')))
        archive = subprocess.run(
            ['cpio', '--create', '--format=newc', '--quiet'],
            input=f'.\n{names}\n'.encode(),
            cwd=root,
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
    path.write_bytes(gzip.compress(archive, compresslevel=1))
    return path


def boot(options: Sequence[str], kernel: Path, initramfs: Path, *, timeout_s: float = 300) -> dict[str, str]:
    """Boot a guest without KVM and return what its kernel reported, by file name.

    :param options: QEMU's, for the guest's CPUs, memory, nodes and devices
    :raises: RuntimeError with the console if the guest does not end, testbed.log.KernelFault
    """
    told = emulator.restarted(lambda: _told(options, kernel, initramfs, timeout_s))
    log.check(told['dmesg'])
    return told


def _told(options: Sequence[str], kernel: Path, initramfs: Path, timeout_s: float) -> dict[str, str]:
    command = [
        'qemu-system-x86_64',
        *_BARE,
        *('-accel', 'tcg,thread=multi'),
        *('-kernel', str(kernel), '-initrd', str(initramfs)),
        *('-append', 'console=ttyS0 quiet panic=-1 tsc=unstable mitigations=off no_timer_check'),
        *('-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'),
        *options,
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
        text=True,
        errors='replace',
    )
    told = _split(done.stdout.replace('\r', ''))
    if 'end' not in told:
        fault = emulator.Crashed if done.returncode < 0 else RuntimeError
        raise fault(f'the guest did not come to its end ({done.returncode}): {done.stderr}\n{done.stdout[-4000:]}')
    return told


def _split(console: str) -> dict[str, str]:
    told, name = {}, ''
    for line in console.splitlines():
        if line.startswith('=== '):
            name = line.removeprefix('=== ')
            told[name] = ''
        elif name:
            told[name] += f'{line}\n'
    return told
