# SPDX-License-Identifier: Apache-2.0
"""Group ``[pci]``: the devices that a host offers, and the names for those that guests request."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'pci'

OPTIONS: list[cfg.Opt] = [
    cfg.MultiOpt(
        'alias',
        item_type=types.PciAlias(),
        deprecated_opts=[cfg.DeprecatedOpt('pci_alias', group='DEFAULT')],
        help="""
A name under which flavors request PCI devices, as in ``pci_passthrough:alias=gpu:1``. Give the option once for each
name; several with one name are alternatives, and have the same ``device_type`` and ``numa_policy``.

Form: a JSON object with ``name``, ``vendor_id`` and ``product_id`` (four hexadecimal digits), and optionally
``device_type`` (``type-PCI``, ``type-PF`` or ``type-VF``), ``numa_policy`` (``required``, ``legacy``, ``preferred`` or
``socket``; ``legacy`` by default) and ``live_migratable`` (``yes`` or ``no``). ``resource_class`` and ``traits`` are
those of placement, which numaplace does not ask.
""",
    ),
    cfg.MultiOpt(
        'device_spec',
        item_type=types.PciDeviceSpecs(),
        deprecated_opts=[
            cfg.DeprecatedOpt('passthrough_whitelist', group='pci'),
            cfg.DeprecatedOpt('pci_passthrough_whitelist', group='DEFAULT'),
        ],
        help="""
PCI devices of a host that guests may have. Give the option once for each, or a list of them; the first that a device
matches gives it its tags.

Form: a JSON object with ``vendor_id`` and ``product_id``, and ``address`` or ``devname`` (the name of a network
interface); what is missing matches any device. An address is a text in which ``*`` stands for any domain, bus, slot or
function, or an object of regular expressions with these keys. The address or interface of a PF stands for its VFs, too.
All other keys are tags: ``physical_network``, ``managed``, ``live_migratable``, ``one_time_use`` and others.
""",
    ),
    cfg.Opt(
        'report_in_placement',
        type=types.Switch(),
        default=False,
        help="""
Whether the devices of ``device_spec`` are in placement, which the tag ``one_time_use`` needs in Nova. numaplace itself
does not report them.

Form: true or false.
""",
    ),
]
