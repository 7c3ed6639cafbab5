"""A file whose content is parsed again when it changes.

What comes in: a path and a parser. What goes out: the last value that could be parsed. Never blocks on more than a
``stat`` (at most once a second) and the reading of a small file; never forgets a good value because of a file that
cannot be parsed, nor because of one that an editor is writing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from stepsize.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
_LOOK_S = 1.0
_MAX_BYTES = 1 << 20


class WatchedFile(Generic[T]):
    """The value of a file.

    Args:
        path: the file; it may be a link that is replaced, as Kubernetes does with secrets.
        parse: makes the value of its text; raises `ValueError` with what is wrong.
        tell: takes a line that says why a file that has changed is not used.
        clock_s: a monotonic clock.
        closes: whether a file that is empty, gone or cannot be read takes back what it said; else that still holds.
            It has to be so at two looks: who truncates a file before it writes it locks nobody out.
        act: what those may do that a file that closes names.

    Raises:
        ConfigError: the file cannot be read or parsed at the start.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], T],
        tell: Callable[[str], None] = lambda _: None,
        clock_s: Callable[[], float] = time.monotonic,
        *,
        closes: bool = False,
        act: str = "send",
    ) -> None:
        self._closes = closes
        self._act = act
        self._is_in_doubt = self._is_closed = False
        self._tell = tell
        self._path = path
        self._parse = parse
        self._clock_s = clock_s
        self._stamp = self._stat()
        try:
            self._value = self._parse(self._read())
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        self._looked_s = clock_s()

    def get(self) -> T:
        """The value of the file as it was not longer than a second ago, or of the last version that could be used.

        Raises:
            UnavailableError: the file closes, and there is none, or nothing in it.
        """
        now_s = self._clock_s()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            stamp = self._stat()
            if stamp != self._stamp or self._is_in_doubt:
                self._reload(stamp)
        if self._is_closed:
            raise UnavailableError(f"it is not known now who may {self._act}; {self._act} again later")
        return self._value

    def _reload(self, stamp: tuple[int, ...] | None) -> None:
        self._stamp, was_in_doubt, self._is_in_doubt = stamp, self._is_in_doubt, False
        try:
            text = self._read()
            if self._closes and not text.strip():
                self._close(f"{self._path} is empty", sure=was_in_doubt)
                return
            self._value = self._parse(text)
            self._is_closed = False
        except OSError as error:
            why = f"cannot read {self._path}: {error.strerror}"
            if self._closes:
                self._close(why, sure=was_in_doubt)
            else:
                self._tell(f"{why}; what it said before still holds")
        except ValueError as error:
            holds = f"still nobody may {self._act}" if self._is_closed else "what it said before still holds"
            self._tell(f"{self._path}: {error}; {holds}")

    def _close(self, why: str, *, sure: bool) -> None:
        """Take back what the file said, if it was like this when it was looked at before."""
        self._is_in_doubt = not sure and not self._is_closed
        if sure:
            self._is_closed = True
            self._tell(f"{why}; nobody may {self._act} until somebody is named in it")

    def _read(self) -> str:
        with self._path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8 text") from None

    def _stat(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def watched(
    path: Path, parse: Callable[[str], T], key: str, tell: Callable[[str], None], act: str = "send"
) -> WatchedFile[T]:
    """A :class:`WatchedFile` that closes, of who may ``act``; ``key`` names it in whatever is said of it.

    Raises:
        ConfigError: the file cannot be read or parsed at the start.
    """
    try:
        return WatchedFile(path, parse, lambda line: tell(f"{key}: {line}"), closes=True, act=act)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
