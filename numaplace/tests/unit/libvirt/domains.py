# SPDX-License-Identifier: Apache-2.0
"""Domains with <vnuma>, as the talk about automatic vNUMA has them, and what they stand for."""

from numaplace import partition
from numaplace.libvirt import capabilities, vnuma
from numaplace.libvirt.expand import expand
from numaplace.tests import recordings

__all__ = ['DISTRIBUTIONS', 'expanded', 'talk', 'whole']

DISTRIBUTIONS = {
    'contiguous': ['0-3', '4-7', '8-11', '12-15'],
    'siblings': ['0-1,8-9', '2-3,10-11', '4-5,12-13', '6-7,14-15'],
    'round-robin': ['0-1,8-9', '2-3,10-11', '4-5,12-13', '6-7,14-15'],
    'interleave': ['0,4,8,12', '1,5,9,13', '2,6,10,14', '3,7,11,15'],
}


def talk(element="<vnuma mode='host' />", *, memory="<memory unit='GiB'>32</memory>", vcpu='16', more=''):
    """Return the talk's domain around an element."""
    return f"""<domain type='kvm'>
  <name>OL8-vnuma</name>
  {memory}
  {element}
  <vcpu placement='static'>{vcpu}</vcpu>
  {more}
</domain>
"""


def whole(element="<vnuma mode='host' />", devices=''):
    """Return a domain that libvirt can define once it is expanded."""
    more = (
        "<os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n  "
        f'<devices>\n    <!-- near -->\n{devices}  </devices>'
    )
    return talk(element, more=more)


def host(name='fake-oracle-host'):
    """Return a recorded host."""
    return capabilities.read(recordings.capabilities(name))


def expanded(text, name='fake-oracle-host'):
    """Expand a domain on a recorded host."""
    domain = vnuma.read(text.encode(), place='guest.xml')
    found = host(name)
    placement = partition.place(found, domain.guest)
    assert placement
    return expand(domain, placement, found)
