# SPDX-License-Identifier: Apache-2.0
"""The recordings in libvirt's source package, from this machine's package sources."""

import re
import shlex
import subprocess
import tarfile
import tempfile
from pathlib import Path

__all__ = ['KINDS', 'fetch']

#: The directories of libvirt's tests that hold trees.
KINDS = ('virhostcpudata', 'vircaps2xmldata')

_MEMBER = re.compile(rf'[^/]+/tests/({"|".join(KINDS)})/.+')


def fetch(directory: Path) -> Path:
    """Return a directory with those of :data:`KINDS`, which are downloaded the first time.

    :param directory: where they are kept
    :raises: subprocess.CalledProcessError if apt finds no source package of libvirt
    """
    kept = directory / 'libvirt-recordings'
    if not kept.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            unpacked = Path(scratch, 'unpacked')
            _unpack(_download(Path(scratch)), unpacked)
            unpacked.rename(kept)
    return kept


def _download(scratch: Path) -> Path:
    """Download with separate apt settings, so that those of the machine do not change."""
    parts = scratch / 'sources'
    parts.mkdir()
    for path in _machine_sources():
        (parts / path.name).write_text(_of_sources(path))
    (scratch / 'lists' / 'partial').mkdir(parents=True)
    settings = (
        'Dir::Etc::sourcelist=/dev/null',
        f'Dir::Etc::sourceparts={parts}',
        f'Dir::State::lists={scratch / "lists"}',
        f'Dir::Cache={scratch / "cache"}',
        'APT::Sandbox::User=root',
        'Debug::NoLocking=1',
    )
    options = [word for setting in settings for word in ('-o', setting)]
    subprocess.run(['apt-get', *options, '-qq', 'update'], timeout=300, check=True)
    wanted = ['source', '--download-only', '-qq', 'libvirt']
    subprocess.run(['apt-get', *options, *wanted], cwd=scratch, timeout=300, check=True)
    (archive,) = scratch.glob('libvirt_*.orig.tar.[gx]z')
    return archive


def _machine_sources() -> list[Path]:
    """Return the files with this machine's package sources."""
    told = subprocess.run(
        ['apt-config', 'shell', 'FILE', 'Dir::Etc::sourcelist/f', 'PARTS', 'Dir::Etc::sourceparts/d'],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    places = dict(word.split('=', 1) for word in shlex.split(told))
    found = [Path(places['FILE']), *sorted(Path(places['PARTS']).glob('*'))]
    return [path for path in found if path.is_file() and path.suffix in ('.list', '.sources')]


def _of_sources(path: Path) -> str:
    """Return the text of such a file with the source packages of the same places."""
    text = path.read_text()
    if path.suffix == '.sources':
        return re.sub(r'^Types:.*$', 'Types: deb-src', text, flags=re.MULTILINE)
    return re.sub(r'^deb(?=\s)', 'deb-src', text, flags=re.MULTILINE)


def _unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as package:
        # Python 3.11.3 and older have no filters; apt has checked who made the archive.
        package.extraction_filter = getattr(tarfile, 'data_filter', None)
        for member in package:
            if match := _MEMBER.fullmatch(member.name):
                member.name = member.name[match.start(1) :]
                package.extract(member, directory)
