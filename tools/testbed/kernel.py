# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel for virtual machines, unpacked but not installed, and its modules that give devices to guests."""

import re
import subprocess
import tempfile
from pathlib import Path

__all__ = ['MODULES', 'fetch', 'modules']

#: NUMA, hot-plug of CPUs and the serial console are built into it, so that it needs no modules.
_META_PACKAGE = 'linux-image-cloud-amd64'

#: Those of VFIO, each after what it needs.
MODULES = ('irqbypass', 'vfio', 'vfio_virqfd', 'vfio_iommu_type1', 'vfio-pci-core', 'vfio-pci')


def fetch(directory: Path) -> Path:
    """Return the kernel's image, which is downloaded the first time.

    :raises: subprocess.CalledProcessError if Debian's packages cannot be fetched
    """
    image = directory / 'vmlinuz'
    if not (image.exists() and modules(directory).exists()):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            _unpack(_package(), Path(scratch))
            (found,) = Path(scratch).glob('unpacked/boot/vmlinuz-*')
            found.rename(image)
            modules(directory).mkdir(exist_ok=True)
            for name in MODULES:
                (found,) = Path(scratch).glob(f'unpacked/lib/modules/*/kernel/**/{name}.ko')
                found.rename(modules(directory) / found.name)
    return image


def modules(directory: Path) -> Path:
    """Return where :func:`fetch` puts the modules."""
    return directory / 'modules'


def _package() -> str:
    depends = subprocess.run(
        ['apt-cache', 'depends', _META_PACKAGE], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    found = re.search(r'Depends: (linux-image-\S+)', depends)
    if found is None:
        raise RuntimeError(f'{_META_PACKAGE} depends on no kernel: {depends}')
    return found[1]


def _unpack(package: str, scratch: Path) -> None:
    subprocess.run(['apt-get', 'download', '-qq', package], cwd=scratch, timeout=300, check=True)
    (archive,) = scratch.glob('*.deb')
    subprocess.run(['dpkg-deb', '--extract', archive, scratch / 'unpacked'], timeout=300, check=True)
