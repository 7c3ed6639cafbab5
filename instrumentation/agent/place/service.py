"""Talks to one metadata service: small answers, a deadline, no proxy, no redirect.

What comes in: the service's address and a deadline on the monotonic clock. What goes out: answers, or ``None`` where
there was none in time. Never raises. A metadata service is on this machine's own link: a proxy that is meant for the
world would answer for another machine, and is therefore never asked.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BYTES = 1 << 18
_LEAST_S = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer; the names of its headers are in small letters."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace").strip()

    @property
    def json(self) -> dict[str, Any]:
        """The body's JSON object; an empty one where it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Service:
    """A metadata service, asked until ``deadline_s``."""

    address: str
    deadline_s: float

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer | None:
        """The answer to a GET, where there is a good one."""
        return self._ask("GET", path, headers or {})

    def put(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        """The answer to a PUT without a body."""
        return self._ask("PUT", path, headers)

    def text(self, path: str, headers: Mapping[str, str] | None = None) -> str | None:
        """The text of an answer, where there is any."""
        answer = self.get(path, headers)
        return answer.text or None if answer is not None else None

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        parts = urlsplit(self.address)
        patience_s = max(_LEAST_S, self.deadline_s - time.monotonic())
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=patience_s)
        try:
            connection.request(method, parts.path.rstrip("/") + path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read(_MOST_BYTES)
            if response.status != http.client.OK:
                return None
            return Answer({name.lower(): value for name, value in response.getheaders()}, body)
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
