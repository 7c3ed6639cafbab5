"""What the launcher has to tell the user: that something is switched on and cannot work.

What comes in: the flow's steps and their decorators, the environment. What goes out: lines. Never prints (the decorator
does, once a launch) and says nothing of what works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow_extensions.stepsize.plugins.remote import remote_notes
from metaflow_extensions.stepsize.plugins.request import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_OURS = ("stepsize", "track_resources")
_OPTIONS = (
    ("interval", "interval_s", "no time in seconds"),
    ("refresh_interval", "card_refresh_s", "no time in seconds"),
    ("card", "card", "neither True nor False"),
    ("create_card", "card", "neither True nor False"),
)
"""Options of our decorators, the setting that each stands for, and what a wrong one is."""


def launch_notes(
    tracked: Mapping[str, Sequence[Any]], environ: Mapping[str, str], argv: Sequence[str]
) -> Iterator[str]:
    """Lines for the user, the most important first.

    Args:
        tracked: the names of the steps that are tracked, and each one's decorators.
        environ: the launcher's environment.
        argv: its command line.
    """
    wrong = _wrong_setting(environ)
    if wrong:
        yield f"stepsize: {wrong}. Nothing is tracked."
        return
    for said, steps in _wrong_options(tracked, environ).items():
        yield f"stepsize: {said}. Not tracked: {', '.join(steps)}."
    unreachable = _no_place_for_sockets(environ)
    if unreachable and not all(is_remote(decorators, argv) for decorators in tracked.values()):
        yield f"stepsize: {unreachable}. Steps on this machine are not tracked."
    yield from remote_notes(tracked, environ, argv)


def _no_place_for_sockets(environ: Mapping[str, str]) -> str | None:
    """Why steps on this machine would find no agent, ever."""
    from stepsize.discovery import agent_socket  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.errors import LakeError  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.settings import Settings  # noqa: PLC0415 - absent in isolated interpreters

    settings = Settings.load(environ)
    try:
        if not settings.sdk_disabled:
            agent_socket(settings)
    except LakeError as error:
        return str(error)
    return None


def _wrong_options(tracked: Mapping[str, Sequence[Any]], environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The steps of each option that is wrong."""
    wrong: dict[str, list[str]] = {}
    for step, decorators in tracked.items():
        for decorator in decorators:
            for option, setting, meant in _OPTIONS if decorator.name in _OURS else ():
                value = decorator.attributes.get(option)
                if value is not None and _wrong_setting(environ, **{setting: str(value)}):
                    wrong.setdefault(f"@{decorator.name}({option}={value!r}) is {meant}", []).append(step)
    return wrong


def _wrong_setting(environ: Mapping[str, str], **arguments: str) -> str | None:
    from stepsize.errors import ConfigError  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.settings import Settings  # noqa: PLC0415 - absent in isolated interpreters

    try:
        Settings.load(environ, **arguments)
    except ConfigError as error:
        return str(error)
    return None
