"""Files and pages over HTTP: whole, bounded, and taken up again where they broke off.

What comes in: an address and a directory. What goes out: a file, or JSON. Never keeps a file that is not the whole of
what the server has: a part is continued only with the same ETag (``If-Range``, RFC 9110, 13.1.5), else begun anew.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import MaxRetryError

from stepsize.discovery import write_whole
from stepsize.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_T = TypeVar("_T")
_TIMEOUT_S = (10, 60)
_CHUNK_BYTES = 1 << 14
"""What a connection that breaks off loses at most."""
_WAITS_S = (2.0, 4.0, 8.0)
"""Between tries."""
_MOST_PAGE_BYTES = 32 << 20
_WORTH_TRYING_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Web:
    """What requests are made with; ``pause`` waits so many seconds between tries."""

    session: requests.Session
    pause: Callable[[float], None] = time.sleep

    def file(self, url: str, path: Path, most_bytes: int) -> Path:
        """The file at ``url`` as ``path``; what lies there already is kept where the server says it has not changed.

        Raises:
            UnavailableError: the server cannot be reached, or broke off each time; the part is kept.
            DataError: it has no such file, or more than ``most_bytes`` of it.
        """
        self._tried(url, lambda: self._continued(url, path, most_bytes))
        return path

    def page(self, url: str) -> Any:
        """The JSON at ``url``; errors as for :meth:`file`."""
        content = self._tried(url, lambda: self._content(url))
        try:
            return json.loads(content)
        except ValueError:
            raise DataError(f"{url} answered with no JSON") from None

    def _tried(self, url: str, attempt: Callable[[], _T]) -> _T:
        """What ``attempt`` gives, after some tries where the server broke off, at once where there is none."""
        for wait_s in (*_WAITS_S, None):
            try:
                return attempt()
            except requests.RequestException as error:
                if wait_s is None or _nobody(error):
                    raise UnavailableError(
                        f"cannot fetch {url} ({_why(error)}): what came is kept; run it again when online"
                    ) from None
            self.pause(wait_s)
        raise AssertionError("the last try returns or raises")

    def _content(self, url: str) -> bytes:
        with self.session.get(url, timeout=_TIMEOUT_S, stream=True) as response:
            _refuse(response, url)
            return b"".join(_bounded(response, url, _MOST_PAGE_BYTES))

    def _continued(self, url: str, path: Path, most_bytes: int) -> None:
        part, note = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.json")
        known = _read_note(note)
        if known.get("url") != url:
            known = {}
        have = part.stat().st_size if part.exists() and known else 0
        headers = {"Accept-Encoding": "identity"}
        if path.exists() and known.get("whole"):
            headers["If-None-Match"] = known["etag"]
        elif have and known.get("etag"):
            headers |= {"Range": f"bytes={have}-", "If-Range": known["etag"]}
        with self.session.get(url, timeout=_TIMEOUT_S, stream=True, headers=headers) as response:
            if response.status_code == requests.codes.not_modified and path.exists():
                return
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink(missing_ok=True)
                raise requests.ConnectionError("the part on disk is longer than the file")
            _refuse(response, url)
            goes_on = response.status_code == requests.codes.partial_content
            etag = response.headers.get("ETag", "")
            if etag.startswith("W/"):
                etag = ""  # a weak one does not promise the same bytes
            write_whole(note, json.dumps({"url": url, "etag": etag}).encode())
            with part.open("ab" if goes_on else "wb") as file:
                for chunk in _bounded(response, url, most_bytes - (have if goes_on else 0)):
                    file.write(chunk)
            _whole(response, part.stat().st_size - (have if goes_on else 0))
        part.replace(path)
        if etag:
            write_whole(note, json.dumps({"url": url, "etag": etag, "whole": True}).encode())


def same_site(link: str, url: str) -> str:
    """``link``, which ``url`` answered with.

    Raises:
        DataError: it leads to another site than ``url``; the port of a scheme may be written out.
    """
    if _site(link) != _site(url):
        raise DataError(f"{url} links to {urlsplit(link).netloc or link!r}: the catalogue stays as it is")
    return link


def _site(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _read_note(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse(response: requests.Response, url: str) -> None:
    if response.status_code in _WORTH_TRYING_AGAIN:
        raise requests.ConnectionError(f"HTTP {response.status_code}")
    if not response.ok:
        raise DataError(f"{url} answered HTTP {response.status_code}: it may have moved; name it with --url")


def _bounded(response: requests.Response, url: str, most_bytes: int) -> Iterator[bytes]:
    so_far = 0
    for chunk in response.iter_content(_CHUNK_BYTES):
        so_far += len(chunk)
        if so_far > most_bytes:
            raise DataError(f"{url} holds more than {most_bytes >> 20} MiB more: that is not what it should be")
        yield chunk


def _whole(response: requests.Response, came: int) -> None:
    said = response.headers.get("Content-Length")
    if said is not None and said.isdigit() and came < int(said):
        raise requests.ConnectionError(f"broke off after {came} of {said} bytes")


def _nobody(error: requests.RequestException) -> bool:
    """Whether there is nobody to talk to, rather than somebody who broke off."""
    return isinstance(error, requests.ConnectionError) and bool(error.args) and isinstance(error.args[0], MaxRetryError)


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection" if _nobody(error) else (str(error).splitlines() or ["broke off"])[0][:120]
