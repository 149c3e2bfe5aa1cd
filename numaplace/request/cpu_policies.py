# SPDX-License-Identifier: Apache-2.0
"""Read how to place the vCPUs of a guest: CPU policy, thread policy, emulator policy and masks.

Nova 34, `nova.virt.hardware`: `get_cpu_policy_constraint` and related functions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from numaplace import cpuset, exception
from numaplace.model import DEDICATED, ISOLATE, MIXED, PREFER, REQUIRE, SHARE, SHARED
from numaplace.request.properties import Properties, is_true

__all__ = [
    'CpuPolicies',
    'cpu_policy',
    'dedicated_mask',
    'emulator_policy',
    'explicit_policy',
    'realtime_mask',
    'smt_trait',
    'thread_policy',
    'validate',
]

_CPU_POLICIES = (SHARED, DEDICATED, MIXED)
_THREAD_POLICIES = (PREFER, ISOLATE, REQUIRE)
_EMULATOR_POLICIES = (SHARE, ISOLATE)
_RESOURCE = re.compile(r'resources(?:[1-9]\d*)?:(VCPU|PCPU)')
#: Python is slow to parse numbers with very many digits, and refuses more than 4300.
_MOST_DIGITS = 15
_SMT_TRAIT = re.compile(r'trait(?:[1-9]\d*)?:HW_CPU_HYPERTHREADING')


@dataclass(frozen=True, slots=True)
class CpuPolicies:
    """What flavor and image request for the vCPUs; masks are None if they are not requested."""

    cpu_policy: str | None
    thread_policy: str | None
    emulator_policy: str | None
    dedicated: int | None
    realtime: int | None


def _known(
    properties: Properties, key: str, known: tuple[str, ...], error: type[exception.Invalid]
) -> tuple[str | None, str | None]:
    of_flavor, of_image = properties.of_flavor(key), properties.of_image(key)
    if of_flavor and of_flavor not in known:
        raise error(f'{properties.flavor_place(f"hw:{key}", of_flavor)}: expected one of {", ".join(known)}')
    if of_image and of_image not in known:
        raise error(f'{properties.image_place(f"hw_{key}", of_image)}: expected one of {", ".join(known)}')
    return of_flavor, of_image


def cpu_policy(properties: Properties) -> str | None:
    """Return the CPU policy: the flavor's, unless it leaves the choice to the image.

    :raises: InvalidCPUAllocationPolicy; ImageCPUPinningForbidden if the image requests more than the flavor allows
    """
    of_flavor, of_image = _known(properties, 'cpu_policy', _CPU_POLICIES, exception.InvalidCPUAllocationPolicy)
    forbidden = {SHARED: (DEDICATED, MIXED), MIXED: (DEDICATED,)}.get(of_flavor or '', ())
    if of_image in forbidden:
        raise exception.ImageCPUPinningForbidden(
            f'{properties.image_place("hw_cpu_policy", of_image)}: '
            f'{properties.flavor_place("hw:cpu_policy", of_flavor)} does not allow it'
        )
    return of_flavor or of_image


def thread_policy(properties: Properties) -> str | None:
    """Return the CPU thread policy; an image must not change isolate or require, and cannot change prefer.

    :raises: InvalidCPUThreadAllocationPolicy; ImageCPUThreadPolicyForbidden
    """
    of_flavor, of_image = _known(
        properties, 'cpu_thread_policy', _THREAD_POLICIES, exception.InvalidCPUThreadAllocationPolicy
    )
    if of_flavor in (ISOLATE, REQUIRE) and of_image and of_image != of_flavor:
        raise exception.ImageCPUThreadPolicyForbidden(
            f'{properties.image_place("hw_cpu_thread_policy", of_image)}: '
            f'{properties.flavor_place("hw:cpu_thread_policy", of_flavor)} does not allow it'
        )
    return of_flavor or of_image


def emulator_policy(properties: Properties) -> str | None:
    """Return the emulator threads policy, which only a flavor may set.

    :raises: InvalidEmulatorThreadsPolicy
    """
    policy = properties.of_flavor('emulator_threads_policy')
    if policy and policy not in _EMULATOR_POLICIES:
        place = properties.flavor_place('hw:emulator_threads_policy', policy)
        raise exception.InvalidEmulatorThreadsPolicy(f'{place}: expected one of {", ".join(_EMULATOR_POLICIES)}')
    return policy


def _mask(text: str, place: str, vcpus: int) -> int:
    """Read a mask of vCPUs; one that begins with an exclusion starts from all of them."""
    whole = f'0-{vcpus - 1},{text}' if text.strip().startswith('^') else text
    try:
        return cpuset.parse(whole)
    except exception.Invalid as error:
        raise exception.Invalid(f'{place}: {error}') from None


def dedicated_mask(properties: Properties) -> int | None:
    """Return the mask of the vCPUs to pin under CPU policy mixed.

    :raises: InvalidMixedInstanceDedicatedMask; Invalid if it is not a list of vCPUs
    """
    text = properties.of_flavor('cpu_dedicated_mask')
    if not text:
        return None
    vcpus = properties.flavor.vcpus
    place = properties.flavor_place('hw:cpu_dedicated_mask', text)
    dedicated, everything = _mask(text, place, vcpus), (1 << vcpus) - 1
    if not dedicated or not everything & ~dedicated:
        raise exception.InvalidMixedInstanceDedicatedMask(
            f'{place}: it must leave at least one dedicated and one shared of the vCPUs 0-{vcpus - 1}'
        )
    if dedicated & ~everything:
        raise exception.InvalidMixedInstanceDedicatedMask(f'{place}: the flavor has only the vCPUs 0-{vcpus - 1}')
    return dedicated


def realtime_mask(properties: Properties) -> int | None:
    """Return the mask of the realtime vCPUs, None if there are none; the image overrides the flavor.

    :raises: RealtimeMaskNotFoundOrInvalid; InvalidEmulatorThreadsPolicy; Invalid if it is not a list of vCPUs
    """
    if not is_true(properties.of_flavor('cpu_realtime') or ''):
        return None
    vcpus = properties.flavor.vcpus
    everything = (1 << vcpus) - 1
    of_flavor, of_image = properties.of_flavor('cpu_realtime_mask'), properties.of_image('cpu_realtime_mask')
    if of_image:
        place = properties.image_place('hw_cpu_realtime_mask', of_image)
    else:
        place = properties.flavor_place('hw:cpu_realtime_mask', of_flavor or '')
    text = of_image or of_flavor
    realtime = _mask(text, place, vcpus) if text else everything
    if not realtime:
        raise exception.RealtimeMaskNotFoundOrInvalid(f'{place}: it names no vCPU')
    if realtime == everything and not emulator_policy(properties):
        raise exception.RealtimeMaskNotFoundOrInvalid(
            f'{place}: with all vCPUs realtime, hw:emulator_threads_policy must be share or isolate'
        )
    if realtime & ~everything:
        raise exception.RealtimeMaskNotFoundOrInvalid(f'{place}: the flavor has only the vCPUs 0-{vcpus - 1}')
    return realtime


def _resources(properties: Properties) -> tuple[int, int]:
    """Return how many VCPU and PCPU the flavor requests by resource class.

    :raises: InvalidRequest for a number with too many digits
    """
    amounts = {'VCPU': 0, 'PCPU': 0}
    for key, value in properties.flavor.extra_specs.items():
        match = _RESOURCE.fullmatch(key)
        text = value.strip()
        if match and text.isascii() and text.isdigit():
            if len(text) > _MOST_DIGITS:
                raise exception.InvalidRequest(
                    f'{properties.flavor_place(key, value)}: expected a number of up to {_MOST_DIGITS} digits'
                )
            amounts[match[1]] += int(text)
    return amounts['VCPU'], amounts['PCPU']


def explicit_policy(properties: Properties, policy: str | None, emulator: str | None) -> str | None:
    """Return the CPU policy that ``resources:VCPU`` and ``resources:PCPU`` stand for, or `policy` without them.

    :raises: InvalidRequest if they are combined with a CPU policy or each other, or PCPU is not the number of vCPUs
    """
    vcpu, pcpu = _resources(properties)
    flavor = properties.flavor
    if policy and (vcpu or pcpu):
        raise exception.InvalidRequest(
            f'flavor {flavor.name!r}: resources:VCPU or resources:PCPU is combined with CPU policy {policy!r}: use one'
        )
    if vcpu and pcpu:
        raise exception.InvalidRequest(
            f'flavor {flavor.name!r}: resources:VCPU={vcpu} is combined with resources:PCPU={pcpu}: use one'
        )
    needed = flavor.vcpus + (emulator == ISOLATE)
    if pcpu and pcpu != needed:
        extra = ' and one for the isolated emulator threads' if emulator == ISOLATE else ''
        raise exception.InvalidRequest(
            f'flavor {flavor.name!r}: resources:PCPU={pcpu}: expected {needed}, one a vCPU{extra}'
        )
    return DEDICATED if pcpu else SHARED if vcpu else policy


def smt_trait(properties: Properties, policy: str | None) -> str | None:
    """Return the thread policy that the trait HW_CPU_HYPERTHREADING stands for, or `policy` without it.

    :raises: InvalidRequest if both are set
    """
    specs = properties.flavor.extra_specs
    trait = next((value for key, value in specs.items() if _SMT_TRAIT.fullmatch(key)), None)
    if trait is None and properties.image.get('trait:HW_CPU_HYPERTHREADING') == 'required':
        trait = 'required'
    if not trait:
        return policy
    if policy:
        raise exception.InvalidRequest(
            f'flavor {properties.flavor.name!r}: trait:HW_CPU_HYPERTHREADING={trait!r} is combined with the CPU thread '
            f'policy {policy!r}: use one'
        )
    return {'forbidden': ISOLATE, 'required': REQUIRE}.get(trait)


def validate(policies: CpuPolicies, name: str) -> None:
    """Check that the policies of a flavor are consistent.

    :param name: the flavor's, for the errors
    :raises: CPUThreadPolicyConfigurationInvalid, BadRequirementEmulatorThreadsPolicy, RequiredMixedInstancePolicy,
        RealtimeConfigurationInvalid, RequiredMixedOrRealtimeCPUMask
    """
    shared = policies.cpu_policy in (SHARED, None)
    where = f'flavor {name!r}: hw:cpu_policy={policies.cpu_policy or SHARED!r}'
    if shared and policies.thread_policy:
        raise exception.CPUThreadPolicyConfigurationInvalid(
            f'{where}: the CPU thread policy {policies.thread_policy!r} needs dedicated or mixed'
        )
    if shared and policies.emulator_policy == ISOLATE:
        raise exception.BadRequirementEmulatorThreadsPolicy(
            f"{where}: hw:emulator_threads_policy='isolate' needs dedicated or mixed"
        )
    if policies.cpu_policy != MIXED and policies.dedicated:
        raise exception.RequiredMixedInstancePolicy(f'{where}: hw:cpu_dedicated_mask needs mixed')
    if shared and policies.realtime:
        raise exception.RealtimeConfigurationInvalid(f'{where}: hw:cpu_realtime needs dedicated or mixed')
    if policies.cpu_policy == MIXED and bool(policies.realtime) == bool(policies.dedicated):
        raise exception.RequiredMixedOrRealtimeCPUMask(
            f'{where}: it needs exactly one of hw:cpu_dedicated_mask and hw:cpu_realtime with a mask'
        )
