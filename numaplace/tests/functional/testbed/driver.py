# SPDX-License-Identifier: Apache-2.0
"""Runs in a virtual host: does one step after the other, and writes down what came of each.

A step is a list of words: ``numaplace`` and its arguments, here, since a start of Python takes seconds where QEMU
emulates the CPU; ``look`` and a domain: what the kernel has made of its threads and its memory; ``nodes``: the kernel's
nodes; or a program and its arguments. Nothing of the tests but this file is there.
"""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

_URI = 'qemu:///system'
_NODES = Path('/sys/devices/system/node')
_CPUS = Path('/sys/devices/system/cpu')
_CGROUPS = Path('/sys/fs/cgroup')

#: Octets; cells of guests here are as large at least.
_LARGE = 64 << 20


def main():
    """Do the steps of a payload."""
    configuration = Path('/etc/numaplace/numaplace.conf')
    configuration.parent.mkdir()
    shutil.copy('/payload/numaplace.conf', configuration)
    done = [step(words) for words in json.loads(Path('/payload/steps').read_text())]
    Path('/result/steps').write_text(json.dumps(done))


def step(words):
    """Do a step."""
    sys.stdout.write(f'{words}\n')
    sys.stdout.flush()
    start = time.monotonic()
    kind, *rest = words
    came = KINDS.get(kind, lambda *_: program(words))(*rest)
    return {'words': words, 'seconds': round(time.monotonic() - start, 2), **came}


def numaplace(*words):
    """Run a command of the package in this process."""
    from numaplace.cli.main import main as entry  # noqa: PLC0415 - the first one takes seconds

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = entry(list(words))
    return {'status': status, 'out': out.getvalue(), 'err': err.getvalue()}


def program(words):
    """Run a program."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    return {'status': done.returncode, 'out': done.stdout, 'err': done.stderr}


def look(domain):
    """Say what the kernel has made of a domain that runs, and what its QEMU knows of it."""
    number = Path(f'/run/libvirt/qemu/{domain}.pid')
    if not number.exists():
        return {'status': 1, 'err': f'{domain} does not run'}
    process = Path('/proc', number.read_text().strip())
    cpus, iothreads, backends = ask(domain, 'query-cpus-fast', 'query-iothreads', 'query-memdev')
    return {
        'status': 0,
        'threads': {int(task.name): thread(task) for task in (process / 'task').iterdir()},
        'memory': list(mappings(process)),
        'vcpus': {cpu['cpu-index']: cpu['thread-id'] for cpu in cpus},
        'iothreads': {one['id']: one['thread-id'] for one in iothreads},
        'backends': [
            {'id': one['id'], 'mib': one['size'] >> 20, 'nodes': one['host-nodes'], 'policy': one['policy']}
            for one in backends
        ],
    }


def ask(domain, *queries):
    """Ask QEMU's monitor; each answer is a line."""
    asked = '; '.join(f"qemu-monitor-command {domain} '{json.dumps({'execute': query})}'" for query in queries)
    return [json.loads(line)['return'] for line in program(['virsh', '-c', _URI, asked])['out'].split('\n') if line]


def thread(task):
    """Say where a thread may run, and where its control group lets it."""
    status = (task / 'status').read_text()
    said = {
        'name': (task / 'comm').read_text().strip(),
        'cpus': re.search(r'Cpus_allowed_list:\s*(\S+)', status)[1],
        'nodes': re.search(r'Mems_allowed_list:\s*(\S+)', status)[1],
    }
    group = _CGROUPS / (task / 'cgroup').read_text().strip().split('::')[-1].lstrip('/')
    if (group / 'cpuset.cpus').exists():
        said['group'] = {part: (group / f'cpuset.{part}').read_text().strip() for part in ('cpus', 'mems')}
    return said


def mappings(process):
    """Yield the mappings that are large enough to be a guest's memory, and hold no code."""
    kib = {}
    for line in (process / 'maps').read_text().splitlines():
        addresses, rights, *_ = line.split()
        first, last = (int(number, 16) for number in addresses.split('-'))
        if rights.startswith('rw-') and last - first >= _LARGE:
            kib[first] = (last - first) >> 10
    for line in (process / 'numa_maps').read_text().splitlines():
        address, policy, *said = line.split()
        if size_kib := kib.get(int(address, 16)):
            values = dict(word.split('=', 1) for word in said if '=' in word)
            yield {
                'policy': policy,
                'mib': size_kib >> 10,
                'file': values.get('file', ''),
                'page_kib': int(values.get('kernelpagesize_kB', 0)),
                'pages': {key[1:]: int(count) for key, count in values.items() if re.fullmatch(r'N\d+', key)},
            }


def nodes():
    """Say what the kernel says of its nodes and CPUs."""
    said = {}
    for directory in _NODES.glob('node[0-9]*'):
        memory = re.search(r'MemTotal:\s*(\d+) kB', (directory / 'meminfo').read_text())[1]
        said[directory.name.removeprefix('node')] = {
            'cpus': (directory / 'cpulist').read_text().strip(),
            'kib': int(memory),
            'distances': [int(distance) for distance in (directory / 'distance').read_text().split()],
            'pages': {
                re.search(r'-(\d+)kB', size.name)[1]: {
                    'total': int((size / 'nr_hugepages').read_text()),
                    'free': int((size / 'free_hugepages').read_text()),
                }
                for size in (directory / 'hugepages').iterdir()
            },
        }
    siblings = {file.read_text().strip() for file in _CPUS.glob('cpu[0-9]*/topology/thread_siblings_list')}
    return {'status': 0, 'nodes': said, 'siblings': sorted(siblings)}


KINDS = {'look': look, 'nodes': nodes, 'numaplace': numaplace}

if __name__ == '__main__':
    sys.exit(main())
