"""Steps that run on other machines: what they are told of our settings, and what is said about that at launch.

What comes in: a step's decorators, the launcher's environment and command line. What goes out: variables in the step's
``@environment``, which is how Metaflow gives a step variables wherever it runs, and lines for the user. What of the
settings goes with a step, and that no secret does, is `stepsize.instrumentation.carried`'s to decide.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from metaflow.plugins.environment_decorator import EnvironmentDecorator

from metaflow_extensions.stepsize.plugins.request import carried_request, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepsize.instrumentation.carried import Carried

_PLAIN = r"[\w.:/%+-]*"
"""Values that come through Metaflow's writing of a decorator on a command line whole."""


def give_settings(decorators: list[Any], environ: Mapping[str, str], argv: Sequence[str]) -> None:
    """Add to a remote step's variables what of ours holds there; the user's own win. May be called again."""
    if not is_remote(decorators, argv):
        return
    give(decorators, {**carried_request(decorators), **_carried(decorators, environ).variables}, argv)


def give(decorators: list[Any], variables: dict[str, str], argv: Sequence[str]) -> None:
    """Add these to a step's variables; the user's own win."""
    given = _environment(decorators)
    if given is not None:
        if not given.statically_defined and getattr(given, "inserted_by", None) is None:  # unknown before 2.16
            # Metaflow writes such a decorator on the command lines of tasks.
            variables = {name: text for name, text in variables.items() if re.fullmatch(_PLAIN, text)}
        # Never in place: without variables of its own it shares the dict of its class.
        given.attributes["vars"] = {**variables, **given.attributes["vars"]}
    elif variables:
        # Without @environment, pods are told the flow's file; with it, they are told what it says alone.
        variables = {"METAFLOW_FLOW_FILENAME": os.path.basename(argv[0]), **variables}  # noqa: PTH119 - as Metaflow has it
        # As if it stood in the flow's file: Metaflow then leaves it off the command lines of tasks.
        inserted = EnvironmentDecorator({"vars": variables}, statically_defined=True)
        getattr(inserted, "external_init", inserted.init)()  # 2.15 has the latter alone
        decorators.append(inserted)


def remote_notes(
    tracked: Mapping[str, Sequence[Any]], environ: Mapping[str, str], argv: Sequence[str]
) -> Iterator[str]:
    """Lines about what keeps the remote ones of the tracked steps from sending their points."""
    remote = [decorators for decorators in tracked.values() if is_remote(decorators, argv)]
    notes = dict.fromkeys(note for decorators in remote for note in _carried(decorators, environ).notes)
    yield from (f"stepsize: {note}." for note in notes)


def _carried(decorators: Sequence[Any], environ: Mapping[str, str]) -> Carried:
    from stepsize.instrumentation.carried import carried  # noqa: PLC0415 - absent in isolated interpreters

    ours = carried(environ, {}, has_secrets=False).variables
    given = _environment(decorators)
    said = {} if given is None else {name: str(value) for name, value in given.attributes["vars"].items()}
    own = {name: text for name, text in said.items() if ours.get(name) != text}
    return carried(environ, own, has_secrets=_has_secrets(decorators))


def _environment(decorators: Sequence[Any]) -> Any:
    return next((decorator for decorator in decorators if decorator.name == "environment"), None)


def _has_secrets(decorators: Sequence[Any]) -> bool:
    from metaflow import metaflow_config  # noqa: PLC0415 - a task has no use for it

    by_name = {decorator.name: decorator.attributes for decorator in decorators}
    site = any(
        getattr(metaflow_config, name, "") for name in ("KUBERNETES_SECRETS", "ARGO_WORKFLOWS_KUBERNETES_SECRETS")
    )
    return site or "secrets" in by_name or bool(by_name.get("kubernetes", {}).get("secrets"))
