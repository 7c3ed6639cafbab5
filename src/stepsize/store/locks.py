"""File locks, which the kernel lets go of when their process ends, however it ends.

What comes in: a path. What goes out: a lock that is held, or an :class:`UnavailableError`. Never trusts what a lock
file says: only the lock counts. The one place that knows how a system locks. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from stepsize.errors import LakeError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S = 0.02


class Lock:
    """An exclusive lock on ``path``, which is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def try_acquire(self) -> bool:
        """Take the lock if it is free.

        Raises:
            LakeError: the file cannot be opened, or its file system knows no locks.
        """
        while self._lock_file():
            if self.is_in_place():
                return True
            self.release()  # whoever held it has removed it meanwhile: what counts is the file that lies there now
        return False

    def _lock_file(self) -> bool:
        descriptor = -1
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)  # Python lets no child inherit it
            if _try_lock(descriptor):
                self._descriptor, descriptor = descriptor, -1
                return True
        except OSError as error:
            raise LakeError(
                f"cannot lock {self._path}: {error.strerror}; set STEPSIZE_DATA or STEPSIZE_STATE to another directory"
            ) from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return False

    def acquire(self, timeout_s: float) -> None:
        """Take the lock, waiting for it at most ``timeout_s``.

        Raises:
            LakeError: as for :meth:`try_acquire`.
            UnavailableError: it is still held.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self.try_acquire():
            if time.monotonic() >= deadline_s:
                raise UnavailableError(f"another process holds {self._path}; wait for it or stop it")
            time.sleep(_POLL_S)

    def is_in_place(self) -> bool:
        """Whether the lock is held and its file still lies at the path: a directory can be deleted under its owner."""
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def remove(self) -> None:
        """Take the file of the lock, which is held, away, and let go of it; whoever comes next makes another one."""
        with contextlib.suppress(PermissionError):  # Windows keeps a file that is open
            self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let go of the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextlib.contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """The lock as a context; errors as for :meth:`acquire`."""
        self.acquire(timeout_s)
        try:
            yield
        finally:
            self.release()


def _try_lock(descriptor: int) -> bool:
    """Lock a file until its descriptor is closed, unless somebody else has.

    Raises:
        OSError: it cannot be locked by anybody.
    """
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - absent elsewhere

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # the first byte stands for the file; it may be missing
        except PermissionError:
            return False
        return True
    import fcntl  # noqa: PLC0415 - absent on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
