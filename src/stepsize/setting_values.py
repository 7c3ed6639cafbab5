"""What a setting may be: from the text of its environment variable to a value.

What comes in: the text. What goes out: the value, or ValueError that says what was expected. Touches nothing but the
names of the home and of the working directory. Standard library only, and hardly anything of it, as ``settings``.
"""

from __future__ import annotations

from pathlib import Path

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


def says_no(text: str) -> bool:
    """Whether a text is ``0/false/no/off`` or empty, in any case."""
    return text.strip().lower() in _FALSE


def parse_bool(text: str) -> bool:
    """``1/true/yes/on`` or ``0/false/no/off`` or empty, in any case."""
    if text.strip().lower() in _TRUE:
        return True
    if says_no(text):
        return False
    raise ValueError("expected 1 or 0")


def seconds(text: str) -> float:
    """A time above 0, at most a day."""
    value = float(text)
    if not 0 < value <= 86_400:  # a day
        raise ValueError("expected seconds above 0, at most 86400")
    return value


class Size(int):
    """Bytes, which as text are what the row's parser reads back."""

    def __str__(self) -> str:
        """``256MiB`` where that is exact, else bytes with their unit: a bare number would be MB."""
        mib, rest = divmod(int(self), 1 << 20)
        return f"{int(self)}B" if rest else f"{mib}MiB"


def size(text: str) -> Size:
    """As people write sizes (``stepsize.sizes``)."""
    from stepsize.errors import UsageError  # noqa: PLC0415 - hardly ever needed, and this is read in the user's process
    from stepsize.sizes import parse_size  # noqa: PLC0415 - as above

    try:
        return Size(parse_size(text))
    except UsageError as error:
        raise ValueError(str(error)) from None


def wait(text: str) -> float:
    """Seconds from 0 to 60."""
    value = float(text)
    if not 0 <= value <= 60:
        raise ValueError("expected seconds from 0 to 60")
    return value


def path(text: str) -> Path:
    """An absolute path; ``~`` is whose home it says."""
    try:
        return Path(text).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # nobody's home is known, or the working directory is gone
        raise ValueError(f"{error}; give a full path") from None


def home_data() -> Path:
    """The lake where nothing else is said."""
    try:
        return Path("~/.stepsize").expanduser()
    except RuntimeError:  # a container's user that has neither HOME nor an account: as where HOME is /
        return Path("/.stepsize")


def data_directory(text: str) -> Path:
    """A local lake."""
    if not text:
        raise ValueError("give a directory")
    if "://" in text:
        raise ValueError("give a directory, or s3://BUCKET/PREFIX")
    return path(text)


STORE = "s3://"
"""What the address of a lake in an object store begins with."""


def store_address(text: str) -> str:
    """``s3://BUCKET/PREFIX`` in its one form, without a slash at its end.

    Raises:
        ValueError: it is none, or names what not every client of a store can read.
    """
    import re  # noqa: PLC0415 - hardly ever needed, and this is read in the user's process

    bucket, _, path = text.removeprefix(STORE).partition("/")
    if not text.startswith(STORE) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket):
        raise ValueError(f"{text!r} is not s3://BUCKET/PREFIX")
    path = path.strip("/")
    if path and (not path.isprintable() or not {"", ".", ".."}.isdisjoint(path.split("/"))):
        raise ValueError(f"{text!r}: a prefix has no empty parts, none that are . or .., and no control characters")
    return f"{STORE}{bucket}/{path}".rstrip("/")


PROTOCOLS = ("grpc", "http/protobuf", "http/json")
"""OpenTelemetry's names of what OTLP travels over."""


def protocol(text: str) -> str:
    """One of :data:`PROTOCOLS`."""
    if text not in PROTOCOLS:
        raise ValueError("expected grpc, http/protobuf or http/json")
    return text


def attempt(text: str) -> int:
    """A number from 0."""
    value = int(text)
    if value < 0:
        raise ValueError("expected a number from 0 on")
    return value


CLOUDS = ("aws", "gcp", "azure", "hcloud", "ovh", "upcloud", "alicloud")
"""Vendors as the catalogue names them."""


def cloud(text: str) -> str:
    """One of :data:`CLOUDS`, or how to find it."""
    word = text.strip().lower()
    if word not in ("auto", "off", *CLOUDS):
        raise ValueError(f"expected auto, off or one of {', '.join(CLOUDS)}")
    return word


def probes(text: str) -> str:
    """How to measure."""
    word = text.strip().lower()
    if word not in ("auto", "portable"):
        raise ValueError("expected auto or portable")
    return word


DATASTORES = ("s3", "azure", "gs", "local")
"""Metaflow's datastores that hold more than a run."""


def datastore(text: str) -> str:
    """``TYPE:ROOT``, or ``off``."""
    kind, _, root = text.partition(":")
    if text != "off" and (kind not in DATASTORES or not root):
        raise ValueError(f"expected off, or TYPE:ROOT with a type of {', '.join(DATASTORES)}")
    return text


def otel_bool(text: str) -> bool:
    """As OpenTelemetry's specification has it: true is ``true`` in any case, everything else is false."""
    return text.strip().lower() == "true"
