"""Addresses of the live page.

What comes in: a path, or what it is to lead to. What goes out: the other one. Pure. Names are in paths as base64 of
JSON: a name may be ``..`` or hold a slash, which browsers and proxies would take for steps of the path.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from stepsize.collector.live.records import StepName

ROOT = "/live"
_PAGE = re.compile(r"[1-9]\d{0,5}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
REPORTS = ("report.html", "comparison.html")
"""Files of a night that are served."""


@dataclass(frozen=True, slots=True)
class Running:
    """Running steps; pages count from 1."""

    page: int


@dataclass(frozen=True, slots=True)
class Step:
    """The running attempts of one step."""

    name: StepName
    page: int


@dataclass(frozen=True, slots=True)
class Report:
    """A page of the nightly job."""

    day: str
    name: str


def running_path(page: int = 1) -> str:
    """Where running steps are listed."""
    return ROOT if page == 1 else f"{ROOT}/running/{page}"


def step_path(name: StepName, page: int = 1) -> str:
    """Where the running attempts of a step are listed."""
    text = json.dumps([name.flow, name.run, name.step], ensure_ascii=False, separators=(",", ":"))
    return f"{ROOT}/step/{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}/{page}"


def report_path(day: str, name: str) -> str:
    """Where a page of the nightly job is."""
    return f"{ROOT}/reports/{day}/{name}"


def parse(path: str) -> Running | Step | Report | None:
    """What a path leads to; None where to nothing."""
    if path.rstrip("/") == ROOT:
        return Running(1)
    match path.removeprefix(f"{ROOT}/").split("/"):
        case ["running", page] if _PAGE.fullmatch(page):
            return Running(int(page))
        case ["step", text, page] if _PAGE.fullmatch(page):
            name = _name(text)
            return Step(name, int(page)) if name else None
        case ["reports", day, name] if _DAY.fullmatch(day) and name in REPORTS:
            return Report(day, name)
        case _:
            return None


def _name(text: str) -> StepName | None:
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if isinstance(found, list) and len(found) == 3 and all(isinstance(one, str) for one in found):
        return None if any("\ud800" <= sign <= "\udfff" for one in found for sign in one) else StepName(*found)
    return None
