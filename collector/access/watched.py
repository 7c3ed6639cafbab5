"""A file whose content is parsed again when it changes.

What comes in: a path and a parser. What goes out: the last value that could be parsed. Never blocks on more than a
``stat`` (at most once a second) and the reading of a small file; never forgets a good value because of a bad file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from stepsize.errors import ConfigError

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

    Raises:
        ConfigError: the file cannot be read or parsed at the start.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], T],
        tell: Callable[[str], None] = lambda _: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._path = path
        self._parse = parse
        self._clock_s = clock_s
        self._stamp = self._stat()
        try:
            self._value = self._read()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        self._looked_s = clock_s()

    def get(self) -> T:
        """The value of the file as it was not longer than a second ago, or of the last version that could be used."""
        now_s = self._clock_s()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            stamp = self._stat()
            if stamp != self._stamp:
                self._reload(stamp)
        return self._value

    def _reload(self, stamp: tuple[int, ...] | None) -> None:
        self._stamp = stamp
        try:
            self._value = self._read()
        except OSError as error:
            self._tell(f"cannot read {self._path}: {error.strerror}; what it said before still holds")
        except ValueError as error:
            self._tell(f"{self._path}: {error}; what it said before still holds")

    def _read(self) -> T:
        with self._path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8 text") from None
        return self._parse(text)

    def _stat(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def watched(path: Path, parse: Callable[[str], T], key: str, tell: Callable[[str], None]) -> WatchedFile[T]:
    """As :class:`WatchedFile`, with the key that names the file before whatever is said of it.

    Raises:
        ConfigError: the file cannot be read or parsed at the start.
    """
    try:
        return WatchedFile(path, parse, lambda line: tell(f"{key}: {line}"))
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
