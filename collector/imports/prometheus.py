"""What a Prometheus (or what answers as one) kept of pods: cAdvisor's and kube-state-metrics' series.

What comes in: an address, a span of time, how pods are named. What goes out: an `Attempt` for each pod that ended
in the span and began in it. One window of time after another is asked for, as instant queries over the window, so that
an answer has one number for a container, and what is held are the pods of a window. Never writes there.

Use is what was scraped: a peak between two scrapes is not in it. CPU time is the counter's last value, which is short
of the end by a scrape's interval at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from stepsize.collector.imports.pod_series import SERIES
from stepsize.collector.imports.pods import Pod, attempt_of
from stepsize.errors import PermanentError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stepsize.collector.imports.attempts import Attempt
    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.pods import Names
    from stepsize.collector.imports.reading import Reading

_CONNECT_S, _ANSWER_S = 10.0, 300.0
_LONGEST_ERROR = 300


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
    """The HTTP API of a Prometheus at ``url``; ``token`` is its bearer token, if it wants one."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/") + "/api/v1/query"
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def vector(self, query: str, at_s: float) -> Iterator[tuple[Mapping[str, str], float]]:
        """Labels and value of each series that ``query`` has at a moment; those that are no number are left out.

        Raises:
            UnavailableError: it does not answer, or says that it cannot just now.
            PermanentError: it refuses the query, or is no Prometheus.
        """
        answer = self._answer(query, at_s)
        for one in answer["data"]["result"]:
            value = float(one["value"][1])
            if math.isfinite(value):
                yield one["metric"], value

    def _answer(self, query: str, at_s: float) -> Any:
        form = {"query": query, "time": f"{at_s:.3f}"}
        try:
            response = self._session.post(self._url, data=form, timeout=(_CONNECT_S, _ANSWER_S))
        except requests.RequestException as error:
            raise UnavailableError(f"{self._url} does not answer: {_line(error)}") from None
        try:
            content = response.json()
            is_vector = content["status"] == "success" and content["data"]["resultType"] == "vector"
        except (ValueError, KeyError, TypeError):
            content, is_vector = {}, False
        if response.ok and is_vector:
            return content
        said = content.get("error") if isinstance(content, dict) else None
        why = _line(said or f"{response.status_code} {response.reason}")
        if response.status_code in (401, 403):
            raise PermanentError(f"{self._url} refuses access ({why}); put its bearer token in PROMETHEUS_TOKEN")
        if response.status_code == requests.codes.unprocessable:
            raise PermanentError(f"{self._url} cannot answer: {why}; give a shorter --window, or a --selector")
        if response.status_code in (429, 502, 503, 504):
            raise UnavailableError(f"{self._url} cannot answer now: {why}; try again")
        raise PermanentError(f"{self._url} does not answer as Prometheus: {why}")


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


def _line(said: object) -> str:
    return " ".join(str(said).split())[:_LONGEST_ERROR]
