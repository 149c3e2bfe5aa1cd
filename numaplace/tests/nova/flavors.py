# SPDX-License-Identifier: Apache-2.0
"""Random flavors and images as plain data, the same for a seed in every process; most make sense, some are odd."""

import random
from typing import Any

__all__ = ['draw']

_POLICIES = (None, None, 'shared', 'dedicated', 'dedicated', 'mixed', 'mixed')
_THREADS = (None, None, None, 'prefer', 'isolate', 'require')
_SIZES = (
    'small',
    'large',
    'large',
    'any',
    'any',
    '4',
    '2048',
    '1048576',
    '2MB',
    '1GB',
    '2048KB',
    '1GiB',
    '2Mb',
    '512MiB',
)
_ODD_SIZES = ('0', '00', '0KB', '1.5KB', '.5GB', '-1024B', '-2048B', '-2MB', '2kB', 'huge', '2 MB', '\u00b2', '\u0662')
_ODD_NUMBERS = ('0', '-1', '+2', '1_0', ' 2', '2.0', 'x', '03', '10000000000')
_ODD_LISTS = ('', 'x', '0-', '-1', '3-1', '^', '0,,1', ' 0 - 1 ', '+0', '0-1_0', '0-3,^1-2', '\u0660')
_TRUTHS = ('true', 'True', 'yes', '1', 'on', 'false', 'no', '0', 'maybe')
_MODELS = ('amd-sev', 'amd-sev', 'amd-sev-es', 'amd-sev-es', 'amd-sev-snp', 'intel-tdx')
_ODD_KEYS = (
    'resources:PCPU_EXTRA',
    'resources:PCPUS',
    'resources:VCPU_EXTRA',
    'resources01:PCPU',
    'trait:HW_CPU_HYPERTHREADING_EXTRA',
)


class _Sheet:
    """A flavor and an image that fill up."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.odd = dice.random() < 0.25
        self.specs: dict[str, str] = {}
        self.image: dict[str, Any] = {}

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def put(self, key: str, value: str | None, *, image: float = 0.2, both: float = 0.03) -> None:
        """Set a value in flavor or image, rarely in both."""
        if value is None:
            return
        in_image = self.chance(image)
        if not in_image or self.chance(both):
            self.specs[f'hw:{key}'] = value
        if in_image:
            self.image[f'hw_{key}'] = value

    def strange(self, value: str | None, odd: tuple[str, ...]) -> str | None:
        """Return a value, or now and then an odd one."""
        return self.dice.choice(odd) if self.odd and self.chance(0.15) else value


def _list(cpus: list[int]) -> str:
    return ','.join(map(str, cpus))


def _draw_cells(sheet: _Sheet, vcpus: int, memory: int) -> None:
    dice = sheet.dice
    nodes = dice.choice((1, 2, 2, 2, 3, 4))
    sheet.put('numa_nodes', sheet.strange(str(nodes), _ODD_NUMBERS))
    if sheet.chance(0.5):
        return
    cuts = sorted(dice.sample(range(1, vcpus), min(nodes - 1, vcpus - 1))) if vcpus > 1 else []
    cpus = list(range(vcpus))
    if sheet.chance(0.3):
        dice.shuffle(cpus)
    parts = [cpus[low:high] for low, high in zip([0, *cuts], [*cuts, vcpus], strict=True)]
    sizes = [memory // len(parts)] * len(parts)
    sizes[-1] += memory - sum(sizes)
    if len(sizes) > 1 and sheet.chance(0.5) and sizes[0] > 512:
        sizes[0], sizes[1] = sizes[0] - 512, sizes[1] + 512
    in_image = float(sheet.chance(0.2))
    for number, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        if sheet.chance(0.02):
            continue
        part = [*part, dice.randrange(vcpus + 2)] if sheet.chance(0.03) else part
        size = size + 1 if sheet.chance(0.02) else size
        sheet.put(f'numa_cpus.{number}', sheet.strange(_list(part), _ODD_LISTS), image=in_image)
        sheet.put(f'numa_mem.{number}', sheet.strange(str(size), _ODD_NUMBERS), image=in_image)


def _draw_mask(sheet: _Sheet, vcpus: int) -> str:
    some = sorted(sheet.dice.sample(range(vcpus), sheet.dice.randint(1, vcpus)))
    return f'^{_list(some[:1])}' if sheet.chance(0.5) else _list(some)


def _draw_policies(sheet: _Sheet, vcpus: int) -> None:
    dice = sheet.dice
    policy = dice.choice(_POLICIES)
    pinned = policy in ('dedicated', 'mixed')
    sheet.put('cpu_policy', sheet.strange(policy, ('pinned', '', 'shared')))
    if pinned or sheet.chance(0.03):
        sheet.put('cpu_thread_policy', sheet.strange(dice.choice(_THREADS), ('avoid', '')))
        if sheet.chance(0.25):
            sheet.put('emulator_threads_policy', sheet.strange(dice.choice(('share', 'isolate')), ('float',)), image=0)
    realtime = sheet.chance(0.4 if policy == 'mixed' else 0.15 if pinned else 0.02)
    if realtime:
        sheet.put('cpu_realtime', dice.choice(_TRUTHS), image=0)
        if sheet.chance(0.8):
            sheet.put('cpu_realtime_mask', sheet.strange(_draw_mask(sheet, vcpus), _ODD_LISTS), both=0.2)
    if (policy == 'mixed' and not realtime) or sheet.chance(0.02):
        sheet.put('cpu_dedicated_mask', sheet.strange(_draw_mask(sheet, vcpus), _ODD_LISTS), image=0)


def _draw_resources(sheet: _Sheet, vcpus: int) -> None:
    dice = sheet.dice
    if sheet.chance(0.05):
        name = dice.choice(('VCPU', 'PCPU'))
        amount = dice.choice((vcpus, vcpus, vcpus + 1, 0))
        sheet.specs[f'resources{dice.choice(("", "1", "22"))}:{name}'] = sheet.strange(str(amount), _ODD_NUMBERS) or ''
    if sheet.chance(0.05):
        value = dice.choice(('required', 'forbidden'))
        sheet.specs[f'trait{dice.choice(("", "3"))}:HW_CPU_HYPERTHREADING'] = value
    if sheet.chance(0.02):
        sheet.image['trait:HW_CPU_HYPERTHREADING'] = 'required'
    if sheet.odd and sheet.chance(0.1):
        key = dice.choice(_ODD_KEYS)
        sheet.specs[key] = 'required' if key.startswith('trait') else str(vcpus)


def _draw_topology(sheet: _Sheet) -> None:
    for kind in ('', 'max_'):
        for name in ('sockets', 'cores', 'threads'):
            if sheet.chance(0.3):
                value = sheet.dice.choice(('1', '2', '3', '4', '8'))
                sheet.put(f'cpu_{kind}{name}', sheet.strange(value, _ODD_NUMBERS), both=0.3)


def _draw_encryption(sheet: _Sheet) -> None:
    dice = sheet.dice
    sheet.put('mem_encryption', dice.choice(_TRUTHS[:-1]), both=0.3)
    if sheet.chance(0.4):
        sheet.put('mem_encryption_model', dice.choice(_MODELS), both=0.3)
    if sheet.chance(0.15):
        sheet.image['hw_mem_encryption'] = dice.choice(_TRUTHS[:-1])
    if sheet.chance(0.15):
        sheet.image['hw_mem_encryption_model'] = dice.choice(_MODELS)
    for key, share, values in (
        ('hw_firmware_type', 0.8, ('uefi', 'uefi', 'uefi', 'bios')),
        ('hw_machine_type', 0.4, ('q35', 'pc-q35-8.2', 'pc')),
        ('hw_firmware_stateless', 0.4, ('true', 'true', 'no')),
        ('hw_video_model', 0.3, ('none', 'none', 'vga')),
    ):
        if sheet.chance(share):
            sheet.image[key] = dice.choice(values)


def _draw_addresses(sheet: _Sheet) -> None:
    mode = sheet.dice.choice(('emulate', 'passthrough'))
    sheet.put('maxphysaddr_mode', mode, both=0.3)
    if mode == 'emulate':
        sheet.put('maxphysaddr_bits', '42')
    if sheet.chance(0.1) and sheet.specs.get('hw:maxphysaddr_mode'):
        sheet.image['hw_maxphysaddr_mode'] = sheet.dice.choice(('emulate', 'passthrough'))


def draw(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the flavor and the properties of the image of a seed."""
    dice = random.Random(seed)
    sheet = _Sheet(dice)
    vcpus, memory = dice.choice((1, 2, 3, 4, 4, 6, 8, 8, 12, 16)), dice.choice((512, 1024, 2048, 3072, 4096))
    if sheet.chance(0.6):
        _draw_cells(sheet, vcpus, memory)
    _draw_policies(sheet, vcpus)
    _draw_resources(sheet, vcpus)
    if sheet.chance(0.4):
        sheet.put('mem_page_size', sheet.strange(dice.choice(_SIZES), _ODD_SIZES), image=0.1, both=0.8)
    if sheet.chance(0.1):
        sheet.put('locked_memory', sheet.strange(dice.choice(_TRUTHS), ('',)), both=0.3)
    if sheet.chance(0.05):
        sheet.put('pmem', dice.choice(('6GB', '6GB, 2GB', ' , ')), image=0)
    if sheet.chance(0.25):
        _draw_topology(sheet)
    if sheet.chance(0.1):
        _draw_encryption(sheet)
    if sheet.chance(0.05):
        _draw_addresses(sheet)
    return {'vcpus': vcpus, 'memory_mb': memory, 'extra_specs': sheet.specs}, sheet.image
