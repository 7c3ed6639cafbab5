"""Who is told: Apprise's addresses, from a file or the environment.

What comes in: ``STEPSIZE_NOTIFY`` or a file. What goes out: targets, and one line where one did not take a message.
Addresses hold passwords and tokens: no message, error or state of ours has one in it, only its number and kind.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from stepsize.errors import ConfigError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from stepsize.commands.night.state import Message

VARIABLE = "STEPSIZE_NOTIFY"
_SHORTEST_SECRET = 4
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Target:
    """One address; ``name`` is what may be said of it."""

    name: str
    url: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What tells it from a few others: too short for anybody to be sure of a guess."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:8]


def targets(file: Path | None, environ: Mapping[str, str]) -> tuple[Target, ...]:
    """Those in ``file``, a line each (``#`` begins a comment), or else in the environment, apart by white space.

    Raises:
        UsageError: the file cannot be read, or Apprise is not installed.
        ConfigError: one is no address that Apprise knows; its number is named, not what it says.
    """
    if file is None:
        where, urls = VARIABLE, environ.get(VARIABLE, "").split()
    else:
        where, urls = str(file), list(_lines(file))
    if not urls:
        return ()
    if importlib.util.find_spec("apprise") is None:
        raise UsageError("notifications need a package that is not here: pip install 'stepsize[notify]'")
    found = [Target(f"{_kind(url)} (number {number})", url) for number, url in enumerate(dict.fromkeys(urls), start=1)]
    for target in found:
        if _plugin(target.url) is None:
            raise ConfigError(f"{where}: {target.name} is no address that Apprise takes; see its documentation")
    return tuple(found)


def _lines(file: Path) -> Iterable[str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise UsageError(f"--notify {file}: {why}; give a file with an address of Apprise's on each line") from None
    return (line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def _kind(url: str) -> str:
    kind, colon, _ = url.partition("://")
    return kind if colon and re.fullmatch(r"[a-zA-Z0-9+-]{1,20}", kind) else "one"


def _plugin(url: str) -> object | None:
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would say what the address is
    import apprise  # noqa: PLC0415 - an extra, and heavy

    plugin: object | None = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return plugin


def send(url: str, name: str, message: Message) -> None:
    """Hand ``message`` to one address.

    Raises:
        UnavailableError: it did not take it; as far as is known why, without what the address says.
    """
    import apprise  # noqa: PLC0415 - an extra, and heavy

    said = _Said()
    logger = logging.getLogger("apprise")
    logger.addHandler(said)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        asset = apprise.AppriseAsset()
        asset.http_redirects = False  # a POST that is sent elsewhere becomes a GET without the message
        service = apprise.Apprise(asset=asset)
        is_sent = service.add(url) and service.notify(
            title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT
        )
    except Exception as error:  # noqa: BLE001 - a plugin raises what it likes, and quotes the address in it
        raise UnavailableError(f"{name} was not told: {type(error).__name__}") from None
    finally:
        logger.removeHandler(said)
    if not is_sent:
        why = redacted(said.last, url)
        raise UnavailableError(f"{name} was not told" + (f": {why}" if why else ""))


def redacted(text: str, url: str) -> str:
    """``text`` as one line without any part of ``url`` but its kind."""
    said = [whole.partition("://")[2] for whole in (url, unquote(url))]
    parts = {part for whole in said for marks in (r"[^\w-]+", r"[:/@?&=\s]+") for part in re.split(marks, whole)}
    parts |= {unquote(part) for part in re.split(r"[:/@?&=\s]+", said[0])}  # a password may have such marks itself
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = re.sub(re.escape(part), _HIDDEN, text, flags=re.IGNORECASE)
    return " ".join(text.split())


class _Said(logging.Handler):
    """Keeps the last line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
