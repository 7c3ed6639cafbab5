"""What the live page's paths answer.

What comes in: HTTP requests that the receiver's credentials let through. What goes out: pages, or why not. Never reads
the lake. A page of another site that has its own name lead here (DNS rebinding) is refused by the `Host` it sends.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from stepsize.collector.live.paths import ROOT
from stepsize.collector.server.http_messages import Response
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from stepsize.collector.live.renderer import Renderer
    from stepsize.collector.server.http_messages import Request

BELOW = f"{ROOT}/"
_HEADERS = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
)
_LONGEST_PATH = 16_000
_LONGEST_SAID = 100


class LiveRoute:
    """The handler of the live page.

    Args:
        renderer: makes pages.
        names: by which it may be asked besides addresses and `localhost`.
    """

    def __init__(self, renderer: Renderer, names: Collection[str]) -> None:
        self._renderer = renderer
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.method != "GET":
            return _words(405, "use GET", ("allow", "GET"))
        host = host_name(request.headers.get("host", ""))
        if not is_address(host) and host not in self._names:
            said = host[:_LONGEST_SAID].encode("unicode_escape").decode()
            return _words(421, f"this page is not served as {said!r}: live_page.allowed_hosts names those it is")
        if len(request.path) > _LONGEST_PATH:
            return _words(414, "the path is too long")
        try:
            made = await self._renderer.page(request.path)
        except StepsizeError as error:
            return _words(503, str(error), ("retry-after", "2"))
        headers = (*_HEADERS, ("content-security-policy", made.policy))
        return Response(made.status, made.body, "text/html; charset=utf-8", headers)


def host_name(header: str) -> str:
    """The name in a `Host` header, without its port; empty where it is none."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, _, port = text.partition(":")
    return name.rstrip(".") if not port or port.isdigit() else ""


def is_address(host: str) -> bool:
    """Whether a host is an address, or this machine by its name: nobody can have these lead elsewhere."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(status: int, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, f"{text}\n".encode(), "text/plain", (*_HEADERS, *headers))
