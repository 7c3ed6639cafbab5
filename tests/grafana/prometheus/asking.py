"""Prometheus' HTTP API, as Grafana asks it."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prometheus:
    """One that serves at an address."""

    address: str

    def asked(self, expression: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """The series that an expression gives now, or at a time."""
        moment = {} if at_s is None else {"time": at_s}
        found: list[dict[str, Any]] = self._get("query", query=expression, **moment)["result"]
        return found

    def over(self, expression: str, begin_s: float, end_s: float, step_s: float) -> list[dict[str, Any]]:
        """The series that it gives over time."""
        asked = {"query": expression, "start": begin_s, "end": end_s, "step": step_s}
        found: list[dict[str, Any]] = self._get("query_range", **asked)["result"]
        return found

    def label_values(self, label: str, series: str) -> list[str]:
        """The values of a label."""
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": series})
        return found

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire, by their names."""
        alerts = self._get("alerts")["alerts"]
        return {one["labels"]["alertname"]: one for one in alerts if one["state"] == "firing"}

    def _get(self, path: str, **parameters: Any) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
