"""What the launcher has to tell the user: that something is switched on and cannot work.

What comes in: the flow's steps and their decorators, the environment. What goes out: lines. Never prints (the decorator
does, once a launch) and says nothing of what works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow_extensions.stepsize.plugins.remote import remote_notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_OURS = ("stepsize", "track_resources")


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
    for said, steps in _wrong_intervals(tracked, environ).items():
        yield f"stepsize: {said} is no time in seconds. Not tracked: {', '.join(steps)}."
    yield from remote_notes(tracked, environ, argv)


def _wrong_intervals(tracked: Mapping[str, Sequence[Any]], environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The steps of each interval that is none."""
    wrong: dict[str, list[str]] = {}
    for step, decorators in tracked.items():
        for decorator in decorators:
            interval = decorator.attributes.get("interval") if decorator.name in _OURS else None
            if interval is not None and _wrong_setting(environ, interval_s=str(interval)):
                wrong.setdefault(f"@{decorator.name}(interval={interval!r})", []).append(step)
    return wrong


def _wrong_setting(environ: Mapping[str, str], **arguments: str) -> str | None:
    from stepsize.errors import ConfigError  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.settings import Settings  # noqa: PLC0415 - absent in isolated interpreters

    try:
        Settings.load(environ, **arguments)
    except ConfigError as error:
        return str(error)
    return None
