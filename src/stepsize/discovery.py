"""How the parts on one machine find each other: sockets' names and the collector's discovery file.

What comes in: :class:`Settings`. What goes out: paths, and the address of the collector that serves a data
directory. Never talks to anybody: a file that is there says who was there, only a connection says who is.
Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.named_tuple import NamedTuple

if TYPE_CHECKING:
    from stepsize.errors import LakeError
    from stepsize.settings import Settings

AGENT_PROTOCOL_VERSION = 2
DISCOVERY_FILE = "collector.json"
_MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 on macOS


class CollectorAddress(NamedTuple):
    """Who serves a data directory. Every collector leaves one; an embedded one is reachable by its socket alone.

    Attributes:
        pid: its process.
        machine: `machine_id` of its machine: a socket of another machine cannot be reached.
        socket: path of its Unix socket, which takes OTLP/HTTP and the control requests.
        token: sent as ``Authorization: Bearer`` with every control request and every OTLP request to the socket.
        embedded: whether it ends with the agent that brought it.
    """

    pid: int
    machine: str
    socket: str
    token: str
    embedded: bool


def machine_id() -> str:
    """The running boot of this machine, so that sockets of another one are not mistaken for ours."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def runtime_dir(settings: Settings) -> Path:
    """The directory of sockets, made if missing, which only this user can enter.

    A directory that is there already and open to others (``STEPSIZE_RUNTIME=/tmp``) is left as it is: the sockets go
    into one of this user's in it.

    Raises:
        LakeError: it belongs to somebody else, or is a link.
    """
    uid = _uid()
    directory = settings.runtime
    if directory is None:
        xdg = os.environ.get("XDG_RUNTIME_DIR")
        directory = Path(xdg, "stepsize") if xdg and os.access(xdg, os.W_OK) else _temporary() / f"stepsize-{uid}"
    mode = _mode_of_own(directory, (uid, 0))
    if not mode & 0o077:
        return directory
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise _refused(f"others may replace files in {directory}; set STEPSIZE_RUNTIME to a directory of your own")
    directory /= f"stepsize-{uid}"
    if _mode_of_own(directory, (uid,)) & 0o077:
        raise _refused(f"{directory} is open to others; chmod 700 it, or set STEPSIZE_RUNTIME to another one")
    return directory


def _refused(reason: str) -> LakeError:
    from stepsize.errors import LakeError  # noqa: PLC0415 - a task has no use for the tree of errors as long as all is well

    return LakeError(reason)


def _temporary() -> Path:
    """The directory that `tempfile` would find, without writing a file to see whether one can."""
    for directory in filter(None, (*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp")):  # noqa: S108 - named so
        if os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK):  # noqa: PTH112 - in each task
            return Path(directory).absolute()
    import tempfile  # noqa: PLC0415 - imports much, and looks further

    return Path(tempfile.gettempdir())


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _mode_of_own(directory: Path, owners: tuple[int, ...]) -> int:
    """The mode of a directory, made for this user alone where it is missing, that belongs to one of ``owners``."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise _refused(f"cannot use {directory} for sockets: {error.strerror}; set STEPSIZE_RUNTIME") from None
    foreign = hasattr(os, "getuid") and found.st_uid not in owners
    closed = found.st_uid != _uid() and not found.st_mode & 0o007
    if not stat.S_ISDIR(found.st_mode) or foreign or closed:
        raise _refused(f"{directory} is not a directory of this user; set STEPSIZE_RUNTIME to one that is")
    return found.st_mode


def pinned(settings: Settings) -> Settings:
    """``settings`` with the directory of sockets as it is found now: what a program does to its environment later
    leaves it where it was.

    Raises:
        LakeError: as `runtime_dir`.
    """
    return settings._replace(runtime=runtime_dir(settings))


def _socket(settings: Settings, kind: str, key: str) -> Path:
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = runtime_dir(settings) / f"{kind}-{digest}.sock"
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        raise _refused(f"{path} is too long for a socket; set STEPSIZE_RUNTIME to a shorter directory")
    return path


def agent_socket(settings: Settings) -> Path:
    """The socket of the agent that serves this user, destination and protocol version on this host."""
    return _socket(settings, "agent", f"{AGENT_PROTOCOL_VERSION} {settings.destination}")


def collector_socket(settings: Settings) -> Path:
    """The socket of the collector that owns the state directory."""
    return _socket(settings, "collector", str(settings.state_dir.absolute()))


def write_address(settings: Settings, address: CollectorAddress) -> None:
    """Leave the discovery file, whole and readable by its user alone."""
    write_whole(settings.data / DISCOVERY_FILE, json.dumps(address._asdict()).encode(), mode=0o600)


def remove_address(settings: Settings, address: CollectorAddress) -> None:
    """Take the discovery file away if it is still ours."""
    if read_address(settings) == address:
        (settings.data / DISCOVERY_FILE).unlink(missing_ok=True)


def read_address(settings: Settings) -> CollectorAddress | None:
    """The collector that last said it serves the data directory, or None where none of this machine did."""
    try:
        fields = json.loads((settings.data / DISCOVERY_FILE).read_bytes())
        address = CollectorAddress(**{name: fields[name] for name in CollectorAddress._fields})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return address if address.machine == machine_id() else None


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace a file so that readers see the old or the new one, never a part; durable when it returns."""
    import tempfile  # noqa: PLC0415 - as above

    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames and new files in a directory durable."""
    if os.name == "nt":
        return  # directories cannot be opened there
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
