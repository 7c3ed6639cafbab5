"""Metaflow: whether it is here, whether it finds the extension, and whether steps are tracked.

What comes in: environment variables. What goes out: findings. Imports Metaflow, which reads its configuration.
"""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

from stepsize.commands.checks.finding import Finding, Level
from stepsize.setting_values import says_no

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART = "metaflow"


def check_metaflow(environ: Mapping[str, str]) -> list[Finding]:
    """What of Metaflow's steps is tracked here."""
    if find_spec("metaflow") is None:
        return [Finding(_PART, Level.NOTE, "not installed here: `stepsize run` tracks any other command")]
    version = metadata.version("metaflow")
    try:
        decorators = {name for name, _ in import_module("metaflow.plugins").STEP_DECORATORS_DESC}
        default = import_module("metaflow.metaflow_config").DEFAULT_DECOSPECS
    except Exception as error:  # noqa: BLE001 - whatever a site's configuration or another extension breaks
        return [
            Finding(_PART, Level.FAULT, f"{version} cannot be imported: {error}", "run `python -c 'import metaflow'`")
        ]
    if "stepsize" not in decorators:
        remedy = (
            "install stepsize into the same environment, and add it to METAFLOW_ENABLED_STEP_DECORATOR if that is set"
        )
        return [Finding(_PART, Level.FAULT, f"{version} does not find @stepsize", remedy)]
    if says_no(environ.get("STEPSIZE", "")):
        return [
            Finding(_PART, Level.NOTE, f"{version}: no step is tracked", "set STEPSIZE=1, or write @stepsize on a step")
        ]
    if not any(one.split(":")[0] == "stepsize" for one in (default or "").split()):
        remedy = "a configuration read later takes it away: see METAFLOW_DEFAULT_DECOSPECS"
        return [Finding(_PART, Level.FAULT, f"{version}: STEPSIZE=1 does not reach its steps", remedy)]
    return [Finding(_PART, Level.WELL, f"{version}: every step of every flow is tracked")]
