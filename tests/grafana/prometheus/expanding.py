"""What Grafana makes of an expression before it sends it.

Rules of intervals: Grafana's pkg/promlib/models/query.go (calculatePrometheusInterval, calculateRateInterval,
InterpolateVariables) and grafana-plugin-sdk-go's gtime.RoundInterval; of values: the formats `raw` and `regex` of
@grafana/scenes (formatRegistry.ts), which leaves a custom "all" as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_DATA_POINTS = 300
_SCRAPED_S = 15.0
_MOST_STEPS = 11_000
_ROUNDED_S = (
    *((0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1), (3.5, 2), (7.5, 5)),
    *((12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900)),
    *((1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16_200, 10_800), (32_400, 21_600), (86_400, 43_200)),
    *((604_800, 86_400), (1_814_400, 604_800)),
)
_LEFT = re.compile(r"\$[{_a-zA-Z]\w*")


@dataclass(frozen=True)
class All:
    """A custom value of "all", which Grafana puts in as it is."""

    text: str


@dataclass(frozen=True)
class Window:
    """A dashboard's time range, in seconds since 1970."""

    begin_s: float
    end_s: float

    def step_s(self, least: str | None) -> int:
        """The step of a query whose shortest one is ``least``."""
        range_s = self.end_s - self.begin_s
        rounded = _rounded_s(range_s / MAX_DATA_POINTS)
        wanted = max(rounded, _SCRAPED_S if least is None else seconds(least))
        return int(max(wanted, _rounded_s(range_s / _MOST_STEPS)))

    def expand(self, text: str, variables: Mapping[str, object], least: str | None = None) -> str:
        """An expression as Prometheus gets it."""
        for name, value in variables.items():
            text = text.replace(f"${{{name}:raw}}", _raw(value)).replace(f"${{{name}:regex}}", _pattern(value))
        step_s, range_s = self.step_s(least), round(self.end_s - self.begin_s)
        scraped_s = _SCRAPED_S if least is None else seconds(least)
        for name, value in (
            ("$__interval_ms", step_s * 1000),
            ("$__interval", f"{step_s}s"),
            ("$__range_ms", range_s * 1000),
            ("$__range_s", range_s),
            ("$__range", f"{range_s}s"),
            ("$__rate_interval", f"{round(max(step_s + scraped_s, 4 * scraped_s))}s"),
        ):
            text = text.replace(name, str(value))
        assert not (left := _LEFT.search(text)), f"Grafana leaves {left[0]} as it is"
        return text


def seconds(duration: str) -> float:
    """Of a duration with one unit, as `15s`."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[duration[-1]]


def _rounded_s(interval_s: float) -> float:
    return next((rounded for below, rounded in _ROUNDED_S if interval_s <= below), 2_592_000)


def _raw(value: object) -> str:
    return value.text if isinstance(value, All) else str(value)


def _pattern(value: object) -> str:
    if isinstance(value, All):
        return value.text
    values = value if isinstance(value, list) else [value]
    escaped = [re.sub(r"([\\^$*+?.()|\[\]{}/])", r"\\\1", str(one)) for one in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
