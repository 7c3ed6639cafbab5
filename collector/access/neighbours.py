"""Whose a connection is that comes over this machine's loopback.

What comes in: its two ends. What goes out: the user that holds the other one, as the kernel says. Linux alone; never
believes a connection that its holder has closed, which the kernel would call root's.

Source: sock_diag(7); linux/inet_diag.h (``struct inet_diag_req_v2``, ``inet_diag_msg``).
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST = 4, 20, 1
_HEAD = struct.Struct("=IHHII")
_WHAT = struct.Struct("=BBBxI")
_PORTS = struct.Struct("!HH")
_REST = struct.Struct("=III")
_ANY_STATE, _NO_COOKIE = 0xFFFF_FFFF, 0xFFFF_FFFF
_ESTABLISHED = 1
_STATE_AT = _HEAD.size + 1
_USER_AT = _HEAD.size + 4 + 48 + 12
_WAIT_S = 0.1
_MOST_BYTES = 8192


class Ends(NamedTuple):
    """A TCP connection: hosts and ports of who is here, and of who has come."""

    own: tuple[str, int]
    other: tuple[str, int]


def is_ours(ends: Ends | None) -> bool | None:
    """Whether the other end is held by this process's user or by root; None where that cannot be told."""
    if ends is None:
        return None
    try:
        user = _holder(ends)
    except (OSError, AttributeError):  # not Linux, or not allowed here
        return None
    return None if user is None else user in {0, os.geteuid()}


def _holder(ends: Ends) -> int | None:
    """The user of the other end's socket; None where there is no open one.

    Raises:
        OSError: the kernel cannot be asked.
    """
    (host, port), (own_host, own_port) = ends.other, ends.own
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, one).ljust(16, b"\0") for one in (host, own_host))
    asked = _WHAT.pack(family, socket.IPPROTO_TCP, 0, _ANY_STATE) + _PORTS.pack(port, own_port) + addresses
    asked += _REST.pack(0, _NO_COOKIE, _NO_COOKIE)
    head = _HEAD.pack(_HEAD.size + len(asked), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:  # type: ignore[attr-defined,unused-ignore]  # Linux
        kernel.settimeout(_WAIT_S)
        kernel.sendto(head + asked, (0, 0))
        answer = kernel.recv(_MOST_BYTES)
    if len(answer) < _USER_AT + 4 or _HEAD.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    if answer[_STATE_AT] != _ESTABLISHED:
        return None
    user: int = struct.unpack_from("=I", answer, _USER_AT)[0]
    return user
