"""The environment: settings that are wrong, and names that mean nothing.

What comes in: environment variables. What goes out: the settings, where they can be read, and findings.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import ConfigError
from stepsize.instrumentation.agent.account import without_login
from stepsize.setting_values import PROTOCOLS
from stepsize.settings import Settings, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PART = "settings"
_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_\w+)?)$")
"""What Kubernetes says of a service, one named `stepsize-collector` say, to every pod beside it."""
_LIKENESS = 0.88
"""How like one of ours a name is that does not begin like it (difflib's ratio): `STEPSZE` is, `STEPS` is not."""
_OTHERS = frozenset(
    {
        "STEPSIZE_LISTEN",
        "STEPSIZE_NOTIFY",
        "STEPSIZE_PYTHON",
        "STEPSIZE_PYTHONPATH",
        "STEPSIZE_REQUEST",
        "STEPSIZE_TRACKED",
    }
)
"""Variables that are no settings: the collector's configuration names one, one holds secrets of `stepsize nightly`, the
rest are handed on between processes."""


def check_environment(environ: Mapping[str, str], data: str | None) -> tuple[Settings | None, list[Finding]]:
    """The settings, ``None`` where one is wrong, and what is to be said of them."""
    unknown = list(_unknown(environ))
    try:
        settings = Settings.load(environ, data=data)
    except ConfigError as error:
        said = f"{error}; nothing is tracked"
        return None, [Finding(_PART, Level.FAULT, said, "correct or unset the variable"), *unknown]
    found = [*unknown, *_not_understood(environ)]
    if settings.sdk_disabled:
        off = Finding(_PART, Level.NOTE, "OTEL_SDK_DISABLED=true: nothing is tracked", "unset it")
        return settings, [off, *found]
    where = (
        without_login(settings.metrics_endpoint or settings.endpoint or "")[0] or f"the collector of {settings.data}"
    )
    return settings, [Finding(_PART, Level.WELL, f"points go to {where}"), *found]


def _unknown(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Names that mean nothing, and are near to one that does: whoever wrote them waits for an effect."""
    ours = {name for name, _, _ in table()} | _OTHERS
    all_known = ours | _opentelemetry()
    for name in sorted(environ.keys() - all_known):
        if _SERVICE_LINK.search(name):
            continue
        is_ours = name.startswith("STEPSIZE_") and name != name.lower()
        likeness = 0.6 if is_ours else _LIKENESS
        near = difflib.get_close_matches(
            name.upper().replace("-", "_"), all_known if "OTEL" in name else ours, 1, likeness
        )
        if near or is_ours:
            remedy = f"did you mean {near[0]}?" if near else "see docs/reference.md for those there are"
            yield Finding(_PART, Level.NOTE, f"{name} is no variable of {_owner(name)}", remedy)


def _owner(name: str) -> str:
    return "OpenTelemetry's" if "OTEL" in name.upper() else "stepsize's"


def _opentelemetry() -> frozenset[str]:
    """Every variable that OpenTelemetry's SDK reads."""
    from opentelemetry.sdk import environment_variables  # noqa: PLC0415 - only here

    return frozenset(name for name in vars(environment_variables) if name.startswith("OTEL_"))


def _not_understood(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Values of OpenTelemetry's variables that count as not set, as its specification asks."""
    defaults = {name: default for name, default, _ in table()}
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"):
        if environ.get(name) and environ[name] not in PROTOCOLS:
            used = defaults[name] or "OTEL_EXPORTER_OTLP_PROTOCOL"
            said = f"{name}={environ[name]} is not understood: {used} is used"
            yield Finding(_PART, Level.NOTE, said, f"write {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}")
