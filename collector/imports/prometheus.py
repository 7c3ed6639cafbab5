"""What a Prometheus (or what answers as one) kept of pods: cAdvisor's and kube-state-metrics' series.

What comes in: an address, a span of time, how pods are named. What goes out: an `Attempt` for each pod that ended
in the span and began in it. One window of time after another is asked for, as instant queries over the window, so that
an answer has one number for a container, and what is held are the pods of a window. Never writes there.

Use is what was scraped: a peak between two scrapes is not in it. CPU time is the counter's last value, which is short
of the end by a scrape's interval at most; a container that was started again has one each time.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import requests
from requests.auth import AuthBase

from stepsize.collector.imports.pod_series import SERIES
from stepsize.collector.imports.pods import Pod, attempt_of
from stepsize.errors import PermanentError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stepsize.collector.imports.attempts import Attempt
    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.pods import Names
    from stepsize.collector.imports.reading import Reading
    from stepsize.errors import StepsizeError

_CONNECT_S, _ANSWER_S = 10.0, 300.0
_LONGEST_ERROR = 300
_TOKEN = re.compile(r"Bearer [!-~]+", re.ASCII)
_NO_HOST = re.compile(r"[^\w.:-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What to ask for: seconds since 1970, a window's length, further matchers of series (``namespace="ml"``)."""

    since_s: float
    until_s: float
    window_s: float
    selector: str = ""
    container: str = ".+"

    def windows(self) -> Iterator[tuple[float, int]]:
        """The end and length in seconds of each window, one after another."""
        start_s = self.since_s
        while start_s < self.until_s:
            end_s = min(start_s + self.window_s, self.until_s)
            yield end_s, max(math.ceil(end_s - start_s), 1)
            start_s = end_s


class Server:
    """The HTTP API of a Prometheus at ``url``, whose name and password, if it has any, are asked for by basic
    authentication; ``token`` is its bearer token, and goes before these. Neither is ever part of a message.

    Raises:
        UsageError: the address or the token is none.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self._url, login = _address(url)
        self._session = requests.Session()
        # Set here, it is not taken from ~/.netrc.
        self._session.auth = _Bearer(token) if token else login

    def vector(self, query: str, at_s: float) -> Iterator[tuple[Mapping[str, str], float]]:
        """Labels and value of each series that ``query`` has at a moment; those that are no number are left out.

        Raises:
            UnavailableError: it does not answer, says that it cannot just now, or knows only a part.
            PermanentError: it refuses the query, or is no Prometheus.
        """
        for labels, value in self._answer(query, at_s):
            if math.isfinite(value):
                yield labels, value

    def _answer(self, query: str, at_s: float) -> list[tuple[Mapping[str, str], float]]:
        form = {"query": query, "time": f"{at_s:.3f}"}
        try:
            # Another address would be asked without the query and the token.
            response = self._session.post(self._url, data=form, timeout=(_CONNECT_S, _ANSWER_S), allow_redirects=False)
        except requests.exceptions.SSLError as error:
            hint = "REQUESTS_CA_BUNDLE names a file with its authority's certificate"
            raise PermanentError(f"{self._url} is not who it should be: {_why(error)}; {hint}") from None
        except requests.RequestException as error:
            raise UnavailableError(f"{self._url} does not answer: {_why(error)}") from None
        if response.is_redirect:
            raise PermanentError(f"{self._url} sends elsewhere: {_line(response.headers['Location'])}; ask there")
        try:
            content = response.json()
            found = _samples(content["data"]) if content["status"] == "success" else None
        except (ValueError, KeyError, TypeError, IndexError):
            content, found = {}, None
        if not response.ok or found is None:
            raise self._refusal(response, content)
        if warnings := content.get("warnings"):
            raise UnavailableError(f"{self._url} answers only a part: {_line(warnings)}; try again when all of it does")
        return found

    def _refusal(self, response: requests.Response, content: Any) -> StepsizeError:
        """What an answer that is none means."""
        said = content.get("error") if isinstance(content, dict) else None
        why = _line(said or f"{response.status_code} {response.reason}")
        if response.status_code in (401, 403):
            return PermanentError(f"{self._url} refuses access ({why}); put its bearer token in PROMETHEUS_TOKEN")
        if response.status_code == requests.codes.unprocessable:
            return PermanentError(f"{self._url} cannot answer: {why}; give a shorter --window, or a --selector")
        if response.status_code in (429, 502, 503, 504):
            return UnavailableError(f"{self._url} cannot answer now: {why}; try again")
        return PermanentError(f"{self._url} does not answer as Prometheus: {why}")


class _Bearer(AuthBase):
    """A bearer token on each request."""

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token.strip()}"
        if not _TOKEN.fullmatch(self._value):
            raise UsageError("PROMETHEUS_TOKEN holds what no token does: a line break, a space, or no ASCII")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _address(url: str) -> tuple[str, tuple[str, str] | None]:
    """Where to ask, and the name and password that the address has."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or _NO_HOST.search(host) or parts.query or parts.fragment:
        raise UsageError("that is no address; write http://HOST:PORT, as of Prometheus's own page, without ? and #")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + "/api/v1/query")
    if parts.username is None:
        return bare.geturl(), None
    return bare.geturl(), (unquote(parts.username), unquote(parts.password or ""))


def _samples(data: Any) -> list[tuple[Mapping[str, str], float]] | None:
    """Labels and value of each series of an answer; None where it is of another kind."""
    if data["resultType"] != "vector":
        return None
    return [(dict(one["metric"]), float(one["value"][1])) for one in data["result"]]


def read(
    server: Server, span: Span, names: Names, labels: Labels, reading: Reading, say: Callable[[str], None]
) -> Iterator[Attempt]:
    """The pods that ended.

    Args:
        server: whom to ask.
        span: for what.
        names: how pods are named.
        labels: what the user says of all of them.
        reading: where pods that cannot be told are counted.
        say: is given a line before each window.

    Raises:
        UnavailableError, PermanentError: as :meth:`Server.vector`. Nothing is imported by halves.
    """
    live: dict[tuple[str, str], Pod] = {}
    told: set[tuple[str, str]] = set()
    for end_s, length_s in span.windows():
        say(f"until {end_s:.0f}")
        seen = _window(server, span, end_s, length_s, live)
        for key in [key for key, pod in live.items() if pod.phase in ("Succeeded", "Failed") or key not in seen]:
            pod = live.pop(key)
            if key in told:
                continue
            if key in seen:
                told.add(key)
            reading.read += 1
            found = attempt_of(pod, names, labels, span.since_s)
            if isinstance(found, str):
                reading.pass_over(found)
            else:
                yield found
        told &= seen
    for key in live.keys() - told:
        del live[key]
        reading.read += 1
        reading.pass_over("had not ended")


def _window(
    server: Server, span: Span, end_s: float, length_s: int, live: dict[tuple[str, str], Pod]
) -> set[tuple[str, str]]:
    """Add to ``live`` what a window tells of pods; which were seen in it."""
    seen: set[tuple[str, str]] = set()
    for series in SERIES:
        for labels, value in server.vector(series.query(span.selector, span.container, length_s), end_s):
            key = labels.get("namespace", ""), labels.get("pod", "")
            seen.add(key)
            series.take(live.setdefault(key, Pod(*key, end_s - length_s)), labels, value)
    return seen


def _why(error: Exception) -> str:
    """What went wrong, without what the libraries in between have to say of themselves."""
    inner = error.args[0] if error.args else error
    return _line(getattr(inner, "reason", inner)).rpartition("): ")[2]


def _line(said: object) -> str:
    return " ".join(str(said).split())[:_LONGEST_ERROR]
