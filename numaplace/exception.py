# SPDX-License-Identifier: Apache-2.0
"""Every fault that numaplace raises, under one base; Nova's names where Nova has one.

"Does not fit" is no fault: see :class:`numaplace.model.Refusal`.
"""


class NumaplaceException(Exception):
    """Base of all faults. Its text is one line that names key, value, place and accepted forms."""


# --- general -----------------------------------------------------------------


class Invalid(NumaplaceException):
    """A value does not have the form that its place accepts."""


class InvalidRequest(Invalid):
    """Keys of a request contradict each other, or one has no integer where it needs one."""


class InvalidConfiguration(NumaplaceException):
    """Options of the configuration contradict each other or this machine."""


class NotFound(NumaplaceException):
    """Something named does not exist."""


class InstanceNotFound(NotFound):
    """There is no such server."""


class AlreadyExists(NumaplaceException):
    """Something of that name exists already."""


class Conflict(NumaplaceException):
    """The thing is in use, so the operation is not possible now."""


class InstanceInvalidState(Conflict):
    """The state of the server does not allow that, such as confirming a resize that there was not."""


class ComputeServiceInUse(Conflict):
    """The host is up, so its servers cannot be evacuated."""


class ComputeServiceUnavailable(Conflict):
    """The host is down, so its servers cannot be moved, only evacuated."""


class UnableToMigrateToSelf(Conflict):
    """The server is on that host already."""


class UnknownPlugin(InvalidConfiguration):
    """A name in the configuration stands for no installed plug-in; the text lists the known ones."""


# --- requests: flavor extra specs and image properties -----------------------------


class InvalidNUMANodesNumber(Invalid):
    """``hw:numa_nodes`` is no integer, or smaller than 1."""


class ImageNUMATopologyForbidden(Invalid):
    """Flavor and image both describe the guest's NUMA topology."""


class ImageNUMATopologyIncomplete(Invalid):
    """CPUs or memory are given for some guest cells but not for all."""


class ImageNUMATopologyAsymmetric(Invalid):
    """vCPUs or memory do not divide evenly into the guest cells."""


class ImageNUMATopologyCPUOutOfRange(Invalid):
    """A guest cell names a vCPU that the flavor does not have."""


class ImageNUMATopologyCPUDuplicates(Invalid):
    """Two guest cells name the same vCPU."""


class ImageNUMATopologyCPUsUnassigned(Invalid):
    """A vCPU of the flavor is in no guest cell."""


class ImageNUMATopologyMemoryOutOfRange(Invalid):
    """The memory of the guest cells does not add up to the flavor's."""


class ImageNUMATopologyRebuildConflict(Invalid):
    """A rebuild would change the NUMA topology of the guest."""


class InvalidCPUAllocationPolicy(Invalid):
    """The CPU policy is none of shared, dedicated and mixed."""


class ImageCPUPinningForbidden(Invalid):
    """The image asks for a CPU policy that the flavor rules out."""


class InvalidCPUThreadAllocationPolicy(Invalid):
    """The CPU thread policy is none of prefer, isolate and require."""


class ImageCPUThreadPolicyForbidden(Invalid):
    """The image asks for another CPU thread policy than the flavor."""


class CPUThreadPolicyConfigurationInvalid(Invalid):
    """A CPU thread policy needs dedicated vCPUs."""


class InvalidEmulatorThreadsPolicy(Invalid):
    """The emulator threads policy is neither share nor isolate."""


class BadRequirementEmulatorThreadsPolicy(Invalid):
    """Isolated emulator threads need dedicated vCPUs."""


class InvalidMixedInstanceDedicatedMask(Invalid):
    """``hw:cpu_dedicated_mask`` leaves no dedicated or no shared vCPU, or names one that does not exist."""


class RequiredMixedInstancePolicy(Invalid):
    """``hw:cpu_dedicated_mask`` needs the CPU policy mixed."""


class RequiredMixedOrRealtimeCPUMask(Invalid):
    """The CPU policy mixed needs exactly one of the dedicated mask and the realtime mask."""


class RealtimeConfigurationInvalid(Invalid):
    """Realtime vCPUs need the CPU policy dedicated or mixed."""


class RealtimeMaskNotFoundOrInvalid(Invalid):
    """The realtime mask is empty, names missing vCPUs, or leaves none for the emulator."""


class MemoryPageSizeInvalid(Invalid):
    """The memory page size is no size."""


class MemoryPageSizeForbidden(Invalid):
    """The image asks for a memory page size that the flavor rules out."""


class MemoryPageSizeNotSupported(Invalid):
    """No host cell has pages of the requested size."""


class LockMemoryForbidden(Invalid):
    """Locked memory needs a memory page size."""


class FlavorImageLockedMemoryConflict(Invalid):
    """Flavor and image contradict each other about locked memory."""


class FlavorImageConflict(Invalid):
    """Flavor and image contradict each other."""


class ImageVCPULimitsRangeExceeded(Invalid):
    """The image's limits of the vCPU topology are above the flavor's."""


class ImageVCPUTopologyRangeExceeded(Invalid):
    """The image's preferred vCPU topology is above the limits."""


class ImageVCPULimitsRangeImpossible(Invalid):
    """No vCPU topology within the limits has that many vCPUs."""


# --- claims ----------------------------------------------------------------------


class CPUPinningInvalid(NumaplaceException):
    """A CPU to pin is pinned already."""


class CPUPinningUnknown(NumaplaceException):
    """A CPU to pin is not among the host cell's dedicated CPUs."""


class CPUUnpinningInvalid(NumaplaceException):
    """A CPU to unpin is not pinned."""


class CPUUnpinningUnknown(NumaplaceException):
    """A CPU to unpin is not among the host cell's dedicated CPUs."""


class UsageInvalid(NumaplaceException):
    """A release would take a counter of the host below zero, or names a host cell that does not exist."""


class NoValidHost(NumaplaceException):
    """No host takes the guest: how a command ends then. Its text has one line for each host and reason."""


class ConcurrentUpdate(NumaplaceException):
    """Others changed the same rows again and again, so the change was given up."""


# --- automatic vNUMA ---------------------------------------------------------------


class InvalidPartition(Invalid):
    """A guest cannot be divided over host cells; `part` is the field of Wish at fault, `vcpus` or `memory_mib`."""

    def __init__(self, text: str, part: str) -> None:
        super().__init__(text)
        self.part = part


class InvalidDomain(Invalid):
    """A document is no libvirt domain XML with a ``<vnuma>`` that can be expanded, or asks for what its host lacks."""


# --- hosts -----------------------------------------------------------------------


class InvalidReservedMemoryPagesOption(InvalidConfiguration):
    """``reserved_huge_pages`` is not of the form ``node:0,size:2048,count:64``."""


class InvalidNetworkNUMAAffinity(InvalidConfiguration):
    """The NUMA affinity of a network is missing or names a host cell that does not exist."""


class InvalidCapabilities(Invalid):
    """A document that should describe a host does not: capabilities, lstopo, numactl or lscpu."""


class UnreadableTopology(NumaplaceException):
    """The kernel's files do not say which NUMA cells, CPUs and memory this machine has."""


class LibvirtError(NumaplaceException):
    """Libvirt does not answer, or refuses what it is told; its own words follow."""


class DomainChanged(LibvirtError):
    """A domain is not as it was, or nobody knows: a change was not taken back, or libvirt did not answer to it."""


class OutputLost(NumaplaceException):
    """What a command had to say could not be written, as on a full disk; what it did stays done."""


# --- stored objects ----------------------------------------------------------------


class InvalidObject(Invalid):
    """Stored JSON is no object of the kind that its column holds."""


class IncompatibleObjectVersion(InvalidObject):
    """Stored JSON has a version of an object that this release cannot read."""


class UnknownDatabase(NumaplaceException):
    """A database cannot be opened, or is not numaplace's."""


class LostConnection(UnknownDatabase):
    """The database went away before it stored a change, or while it was read: a repetition is safe."""


class UnknownOutcome(UnknownDatabase):
    """The database went away while it stored a change: whether it did is not known."""


# --- inside a real Nova ------------------------------------------------------------


class UnsupportedNova(NumaplaceException):
    """This Nova is of a series, or has functions, that numaplace does not know."""
