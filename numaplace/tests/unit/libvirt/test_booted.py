# SPDX-License-Identifier: Apache-2.0
"""How a kernel was started and would be started again, from the files of each boot loader."""

import pytest

from numaplace import exception
from numaplace.fleet.kernel import Kernel
from numaplace.libvirt import booted


def _read(root, files):
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, 'utf-8')
    found = booted.read(root / 'sys', root / 'proc', root)
    return found, [(path.removeprefix(f'{root}/'), line) for path, line in found.boot]


def test_a_copy_without_these_files_says_nothing(tmp_path):
    assert Kernel() == _read(tmp_path, {})[0]


@pytest.mark.parametrize(('text', 'expected'), [('2-3,6\n', 0b1001100), ('\n', 0), ('  (null)\n', 0)])
def test_sets_of_the_kernel_are_read(tmp_path, text, expected):
    cpu = 'sys/devices/system/cpu'
    found, _ = _read(
        tmp_path, {f'{cpu}/isolated': text, f'{cpu}/nohz_full': text, 'proc/cmdline': 'quiet isolcpus=2\n'}
    )
    assert (expected, expected, 'quiet isolcpus=2') == (found.isolated_cpus, found.tickless_cpus, found.command_line)


def test_a_set_that_is_none_is_refused_with_its_file(tmp_path):
    with pytest.raises(exception.UnreadableTopology, match=r'cpu/isolated: invalid CPU list'):
        _read(tmp_path, {'sys/devices/system/cpu/isolated': 'some'})


LOADERS = {
    'the defaults of GRUB': (
        {
            'etc/default/grub': '# ä comment: GRUB_CMDLINE_LINUX="old"\nGRUB_DEFAULT=0\n'
            'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX=\'isolcpus=2-3\' # CPUs\n'
        },
        [('etc/default/grub', 'isolcpus=2-3 quiet splash')],
    ),
    'the defaults of a cloud image': (
        {
            'etc/default/grub': 'GRUB_CMDLINE_LINUX="a"\n',
            'etc/default/grub.d/50-cloud.cfg': 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n',
            'etc/default/grub.d/99-numa.cfg': 'GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX} isolcpus=2 $other"\n',
        },
        [('etc/default/grub', 'a isolcpus=2 $other console=ttyS0')],
    ),
    'an entry with the options of the environment': (
        {
            'boot/loader/entries/m.conf': 'options $kernelopts $tuned_params\n',
            'boot/grub2/grubenv': '# GRUB Environment Block\nkernelopts=root=1 isolcpus=2\n####\n',
        },
        [('boot/loader/entries/m.conf', 'root=1 isolcpus=2 $tuned_params')],
    ),
    'a quote that does not end': ({'etc/default/grub': 'GRUB_CMDLINE_LINUX="a b\n'}, [('etc/default/grub', '"a b')]),
    'the first entry of GRUB': (
        {
            'boot/grub/grub.cfg': 'menuentry {\n\tlinux\t/vmlinuz-6.1 root=UUID=1 ro isolcpus=2\n}\n'
            'menuentry {\n\tlinux /vmlinuz-5.10 ro\n}\n'
        },
        [('boot/grub/grub.cfg', 'root=UUID=1 ro isolcpus=2')],
    ),
    'GRUB with EFI': ({'boot/grub2/grub.cfg': 'linuxefi /vmlinuz a=1\n'}, [('boot/grub2/grub.cfg', 'a=1')]),
    'the entry of the newest kernel': (
        {
            'boot/loader/entries/m-5.9.conf': 'title A\noptions root=1 old\n',
            'boot/loader/entries/m-5.14.conf': 'title B\nlinux /vmlinuz\noptions root=1 hugepages=4\n',
            'boot/loader/entries/m-9-rescue.conf': 'options rescue\n',
        },
        [('boot/loader/entries/m-5.14.conf', 'root=1 hugepages=4')],
    ),
}


@pytest.mark.parametrize(('files', 'expected'), LOADERS.values(), ids=LOADERS)
def test_what_each_boot_loader_starts_is_read(tmp_path, files, expected):
    assert expected == _read(tmp_path, files)[1]
