"""Whether what listens on a host can be reached from other machines.

What comes in: a host, as somebody wrote it. What goes out: yes or no. Pure: resolves no name.
"""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether nobody beyond this machine can connect to ``host``; a name that is not ``localhost`` may be anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
