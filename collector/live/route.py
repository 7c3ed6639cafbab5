"""What the live page's paths answer.

What comes in: HTTP requests that the receiver's credentials let through. What goes out: pages, or why not. Never reads
the lake. Another site's page is refused by what browsers say of who asks, and one that has its own name lead here (DNS
rebinding) by the `Host` it sends; another user of this machine by whose the connection is.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from stepsize.collector.access.neighbours import is_ours
from stepsize.collector.live.paths import ROOT
from stepsize.collector.server.http_messages import Response
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
_NOT_YOURS = "this page is shown to the collector's own user and to root"
_NOT_TOLD = "this page is the collector's own user's, and nothing tells here whose connection this is"
_WAY_OUT = "live_page.any_user: true shows it to all users of this machine (docs/live.md)"
_LONGEST_PATH = 16_000
_LONGEST_SAID = 100


class LiveRoute:
    """The handler of the live page.

    Args:
        renderer: makes pages.
        names: by which it may be asked besides addresses and `localhost`.
        any_user: whether whoever can connect may see it; else this process's user and root.
    """

    def __init__(self, renderer: Renderer, names: Collection[str], *, any_user: bool) -> None:
        self._renderer = renderer
        self._any_user = any_user
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if (refused := self._refusal(request)) is not None:
            return refused
        try:
            made = await self._renderer.page(request.path)
        except StepsizeError as error:
            return _words(503, str(error), ("retry-after", "2"))
        headers = (*_HEADERS, ("content-security-policy", made.policy))
        return Response(made.status, made.body, "text/html; charset=utf-8", headers)

    def _refusal(self, request: Request) -> Response | None:
        """Why no page is made for a request; None where one is."""
        host = host_name(request.headers.get("host", ""))
        if request.method != "GET":
            return _words(405, "use GET", ("allow", "GET"))
        if not is_address(host) and host not in self._names:
            said = host[:_LONGEST_SAID].encode("unicode_escape").decode()
            return _words(421, f"this page is not served as {said!r}: live_page.allowed_hosts names those it is")
        if not is_of_a_person(request.headers):
            return _words(403, "this page is for people: another site's page may link to it, and not load it")
        if not self._any_user and not (is_known := is_ours(request.ends())):
            return _words(403, f"{_NOT_TOLD if is_known is None else _NOT_YOURS}; {_WAY_OUT}")
        if len(request.path) > _LONGEST_PATH:
            return _words(414, "the path is too long")
        return None


def is_of_a_person(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks for itself, or for a page of ours, and not because another site's page does.

    Source: Fetch Metadata Request Headers (W3C). Older browsers send none of these; they keep what they load from who
    asked for it by the other headers of an answer.
    """
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return True
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


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
