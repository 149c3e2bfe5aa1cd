# SPDX-License-Identifier: Apache-2.0
"""Ask a request filter of a Nova with its API database, in a process of its own, as Nova's databases are global.

Run by ``python -m numaplace.tests.nova.request_filters URL``: flavors and properties of images come as JSON, what is
forbidden goes to standard output.
"""

import json
import sys

from nova import config, context, objects
from nova.scheduler import request_filter


def main(url: str) -> None:
    """Print the UUIDs of the aggregates that each request must not use."""
    objects.register_all()
    config.CONF.set_override('connection', url, 'api_database')
    config.CONF.set_override('enable_isolated_aggregate_filtering', True, 'scheduler')
    config.parse_args(['nova'], default_config_files=[])
    json.dump([_forbidden(*request) for request in json.load(sys.stdin)], sys.stdout)


def _forbidden(extra_specs: dict[str, str], properties: dict[str, str]) -> list[str]:
    spec = objects.RequestSpec(
        flavor=objects.Flavor(vcpus=1, memory_mb=512, root_gb=0, ephemeral_gb=0, swap=0, extra_specs=extra_specs),
        image=objects.ImageMeta.from_dict({'properties': properties}),
        is_bfv=False,
        pci_requests=objects.InstancePCIRequests(requests=[]),
        requested_resources=[],
        request_level_params=objects.RequestLevelParams(),
        requested_destination=objects.Destination(),
    )
    request_filter.isolate_aggregates(context.get_admin_context(), spec)
    return list(spec.requested_destination.forbidden_aggregates or ())


if __name__ == '__main__':
    main(*sys.argv[1:])
