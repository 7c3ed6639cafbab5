"""What to ask for instead, and what it is worth: the newest report of `stepsize nightly`."""

from boards.parts import (
    ASKED,
    BYTES,
    CORES,
    GOOD,
    NUMBER,
    SECONDS,
    SHARE,
    Board,
    Text,
    Variable,
    bars,
    lines,
    numbers,
    to_flow,
    to_step,
)
from boards.parts import rows as table

_MONEY = "none"
_STALE = ((2 * 86_400, ASKED),)
BOARD = Board(
    uid="stepsize-rightsizing",
    title="stepsize / Right-sizing",
    description="What the newest nightly report recommends, what it saves and which servers fit.",
    window="now-90d",
    refresh="1h",
    variables=(
        Variable("flow", "Flow", "reported_flow"),
        Text(
            "live_page",
            "Collector's address",
            "As https://collector:4318, where it has a live page: then reports have links.",
        ),
    ),
    rows={
        "Recommendations": (
            numbers(
                "rightsizing/summary",
                "In all",
                "Of the newest report. Savings are at the prices of the cheapest servers that fit, in its currency.",
                {
                    "To save a month": _MONEY,
                    "GB·h held and not used": NUMBER,
                    "Steps to change": NUMBER,
                    "Steps": NUMBER,
                    "Age of the report's day": SECONDS,
                },
                levels={"To save a month": ((0, GOOD),), "Age of the report's day": _STALE},
            ),
            table(
                "rightsizing/steps",
                "Steps by what is to be saved",
                "Requests, use and recommendation. Memory not used is GB·h of the attempts that the report counted.",
                {
                    "To save a month": _MONEY,
                    "GB·h not used": CORES,
                    "Memory asked for": BYTES,
                    "Memory used": BYTES,
                    "Memory recommended": BYTES,
                    "Cores asked for": CORES,
                    "Cores recommended": CORES,
                    "Expected to fail": SHARE,
                },
                levels={"Memory recommended": ((0, GOOD),), "Cores recommended": ((0, GOOD),)},
                links={"Flow": to_flow(), "Step": to_step()},
                widths={"Why": 600},
                height=14,
            ),
            lines(
                "rightsizing/history",
                "To save a month, by day",
                "Of each report that is kept, in the currency of its prices.",
                _MONEY,
                {"to save a month": GOOD},
                joined=True,
            ),
            bars("rightsizing/confidence", "Confidence", "Steps by how sure their recommendation is.", "Confidence"),
            table(
                "rightsizing/reports",
                "Reports",
                "The fourteen newest in the time range. With the collector's address above, their pages.",
                {"To save a month": _MONEY},
                links={"Page": "${__value.raw}"},
                height=8,
            ),
        ),
        "Servers": (
            table(
                "rightsizing/servers",
                "Cheapest servers that fit",
                "Up to three for each step's recommendation.",
                {"Memory": "bytes", "Price an hour": _MONEY},
                links={"Step": to_step()},
            ),
        ),
    },
)
