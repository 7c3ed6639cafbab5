"""Files and pages over HTTP: whole, bounded, and taken up again where they broke off.

What comes in: an address and a directory. What goes out: a file, or JSON. Never keeps a file that is not the whole of
what the server has: a part is continued only with the same ETag (``If-Range``, RFC 9110, 13.1.5), else begun anew.
Never waits for what comes slower than a kilobyte a second, nor longer than two minutes where a server asks for it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, MaxRetryError

from stepsize.discovery import write_whole
from stepsize.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_T = TypeVar("_T")
_TIMEOUT_S = (10, 60)
_CHUNK_BYTES = 1 << 16
_WAITS_S = (2.0, 4.0, 8.0)
"""Between tries."""
_MOST_PAGE_BYTES = 32 << 20
_SLOWEST = 60 << 10
"""Bytes in ``_WINDOW_S``, below which an answer counts as broken off."""
_WINDOW_S = 60.0
_LONGEST_WAIT_S = 120.0
"""That a server may ask for (``Retry-After``)."""
_WORTH_TRYING_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Web:
    """What requests are made with; ``pause`` waits so many seconds between tries, ``clock`` tells seconds."""

    session: requests.Session
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

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
        except (ValueError, RecursionError):
            raise DataError(f"{_named(url)} answered with no JSON: the catalogue stays as it is") from None

    def _tried(self, url: str, attempt: Callable[[], _T]) -> _T:
        """What ``attempt`` gives, after some tries where the server broke off, at once where there is none."""
        for wait_s in (*_WAITS_S, None):
            try:
                return attempt()
            except _LEADS_NOWHERE as error:
                raise DataError(f"{_named(url)} leads nowhere ({_why(error)}): name its place with --url") from None
            except requests.RequestException as error:
                asked_s = error.after_s if isinstance(error, _Refused) else 0.0
                if wait_s is None or _nobody(error) or asked_s > _LONGEST_WAIT_S:
                    raise UnavailableError(
                        f"cannot fetch {_named(url)} ({_why(error)}): what came is kept; run it again when online"
                    ) from None
            self.pause(max(wait_s, asked_s))
        raise AssertionError("the last try returns or raises")

    def _content(self, url: str) -> bytes:
        with self.session.get(url, timeout=_TIMEOUT_S, stream=True) as response:
            _refuse(response, url)
            return b"".join(self._bounded(response, url, _MOST_PAGE_BYTES))

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
            if etag.startswith("W/") or "Content-Encoding" in response.headers:
                etag = ""  # a weak one does not promise the same bytes; one of packed ones is not of those on disk
            write_whole(note, json.dumps({"url": url, "etag": etag}).encode())
            with part.open("ab" if goes_on else "wb") as file:
                for chunk in self._bounded(response, url, most_bytes - (have if goes_on else 0)):
                    file.write(chunk)
        part.replace(path)
        if etag:
            write_whole(note, json.dumps({"url": url, "etag": etag, "whole": True}).encode())

    def _bounded(self, response: requests.Response, url: str, most_bytes: int) -> Iterator[bytes]:
        """What comes, as it comes.

        Raises:
            DataError: it is more than ``most_bytes``.
            requests.ConnectionError: it broke off, or comes too slowly.
        """
        so_far, in_window, since_s = 0, 0, self.clock()
        while chunk := _piece(response):
            so_far, in_window, now_s = so_far + len(chunk), in_window + len(chunk), self.clock()
            if so_far > most_bytes:
                raise DataError(f"{_named(url)} holds more than {most_bytes >> 20} MiB: that is not what it should be")
            if now_s - since_s > _WINDOW_S:
                if in_window < _SLOWEST:
                    raise requests.ConnectionError(f"{in_window} bytes in {now_s - since_s:.0f} s")
                in_window, since_s = 0, now_s
            yield chunk


class Session(requests.Session):
    """Follows redirects, but from https to nothing else."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer redirects to, if it does.

        Raises:
            requests.exceptions.InvalidURL: that is less safe than where the answer came from.
        """
        target = super().get_redirect_target(resp)
        if target is not None:
            try:
                scheme = urlsplit(urljoin(resp.url, target)).scheme
            except ValueError:
                raise requests.exceptions.InvalidURL("a redirect to what is no address") from None
            if scheme != "https" and resp.url.startswith("https:"):
                raise requests.exceptions.InvalidURL("a redirect from https to something else")
        return target


class _Refused(requests.ConnectionError):
    """An answer that is worth trying again, after so many seconds where the server said so."""

    def __init__(self, response: requests.Response) -> None:
        said = response.headers.get("Retry-After", "")
        self.after_s = float(said) if said.isdecimal() and len(said) < 10 else 0.0
        super().__init__(f"HTTP {response.status_code}" + (f", asks for {said} s of rest" if self.after_s else ""))


_LEADS_NOWHERE = (
    requests.TooManyRedirects,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)


def _piece(response: requests.Response) -> bytes:
    """The next bytes that have come, unpacked; empty at the end. ``iter_content`` would wait for a chunk to be full."""
    try:
        piece: bytes = response.raw.read1(_CHUNK_BYTES, decode_content=True)
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(f"broke off: {error}") from error
    return piece


def _named(url: str) -> str:
    """An address without its question."""
    return url.partition("?")[0]


def same_site(link: str, url: str) -> str:
    """``link``, which ``url`` answered with.

    Raises:
        DataError: it leads to another site than ``url``; the port of a scheme may be written out.
    """
    if _site(link) != _site(url):
        raise DataError(f"{_named(url)} links to {urlsplit(link).netloc or link!r}: the catalogue stays as it is")
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
        raise _Refused(response)
    if not response.ok:
        raise DataError(f"{_named(url)} answered HTTP {response.status_code}: it may have moved; name it with --url")


def _nobody(error: requests.RequestException) -> bool:
    """Whether there is nobody to talk to, rather than somebody who broke off."""
    return isinstance(error, requests.ConnectionError) and bool(error.args) and isinstance(error.args[0], MaxRetryError)


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection" if _nobody(error) else (str(error).splitlines() or ["broke off"])[0][:120]
