"""What of the settings goes with a task to another machine, and what has to be said about what stays.

What comes in: the environment of a launcher. What goes out: variables for the task, and lines for whoever launches it.
Never holds a secret: whatever this makes ends up in templates and job descriptions that many can read. Headers and
client keys stay, an endpoint loses the credentials in it, and what names a file or a host of this machine stays too.
Pure: touches nothing. Standard library only.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from stepsize import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "OTEL_EXPORTER_OTLP_"
_ENDPOINTS = (f"{_PREFIX}METRICS_ENDPOINT", f"{_PREFIX}ENDPOINT")
_DATASTORE = "STEPSIZE_DATASTORE"
_LOCAL = "local:"
_PROTOCOLS = (f"{_PREFIX}METRICS_PROTOCOL", f"{_PREFIX}PROTOCOL")
_SHAPING = tuple(
    f"{_PREFIX}{signal}{name}"
    for signal in ("", "METRICS_")
    for name in ("PROTOCOL", "TIMEOUT", "COMPRESSION", "INSECURE")
)
_ABOUT = ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME")
_SECRET = tuple(f"{_PREFIX}{signal}{name}" for signal in ("", "METRICS_") for name in ("HEADERS", "CLIENT_KEY"))
_FILES = tuple(
    f"{_PREFIX}{signal}{name}" for signal in ("", "METRICS_") for name in ("CERTIFICATE", "CLIENT_CERTIFICATE")
)


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes with a task.

    Attributes:
        variables: environment variables for it.
        notes: what whoever launches it should know, a line each.
    """

    variables: Mapping[str, str]
    notes: tuple[str, ...]


def carried(environ: Mapping[str, str], own: Mapping[str, str], *, has_secrets: bool) -> Carried:
    """What goes with a task that is given variables of its ``own``, which win.

    Args:
        environ: of the launcher.
        own: variables that the user gives to the task.
        has_secrets: whether the platform gives it variables out of secrets, too, which nobody sees here.
    """
    variables = settings.travelling(environ)
    variables |= {name: environ[name] for name in (*_SHAPING, *_ABOUT) if environ.get(name)}
    notes = []
    for name in _ENDPOINTS:
        if variables.get(name) and name not in own:
            endpoint, note = _endpoint(name, variables.pop(name))
            if endpoint:
                variables[name] = endpoint
            if note:
                notes.append(note)
    if variables.get(_DATASTORE, "").startswith(_LOCAL):
        del variables[_DATASTORE]
    variables = {name: text for name, text in variables.items() if name not in own}
    notes += _withheld(environ, own, has_secrets=has_secrets)
    said = {**variables, **own}
    if not has_endpoint(said) and not has_secrets:
        notes += _of_datastore(own.get(_DATASTORE, environ.get(_DATASTORE, "")), is_own=_DATASTORE in own)
    if has_endpoint(said) and _protocol(said) == "grpc":
        notes.append(
            f"{_PREFIX}PROTOCOL=grpc: remote steps whose Python lacks opentelemetry-exporter-otlp send nothing; "
            "http/protobuf (port 4318) works everywhere"
        )
    return Carried(variables, tuple(notes))


def has_endpoint(variables: Mapping[str, str]) -> bool:
    """Whether a task with these variables knows where to send to."""
    return any(variables.get(name) for name in _ENDPOINTS)


def _endpoint(name: str, text: str) -> tuple[str | None, str | None]:
    """An endpoint as another machine may have it, and what to say of it."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")  # gRPC takes host:port
        host = parts.hostname or ""
    except ValueError:
        return None, f"{name} is no URL: remote steps are not told of it"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).removeprefix("//")
    if _is_loopback(host):
        return None, (
            f"{name}={bare} is this machine alone: remote steps are not told of it; set an address that they reach, "
            "or set it by @environment where a collector runs beside each of them"
        )
    if "@" not in parts.netloc and not parts.query and not parts.fragment:
        return text, None
    return bare, (
        f"{name} may hold a secret, which stays here: give it to remote steps as {_PREFIX}HEADERS out of a secret, "
        "such as @kubernetes(secrets=...)"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _withheld(environ: Mapping[str, str], own: Mapping[str, str], *, has_secrets: bool) -> list[str]:
    notes = []
    secret = [name for name in _SECRET if environ.get(name) and name not in own]
    if secret and not has_secrets:
        notes.append(
            f"{', '.join(secret)} may be secret and stays here: give it to remote steps out of a secret, such as "
            "@kubernetes(secrets=...)"
        )
    files = [name for name in _FILES if environ.get(name) and name not in own]
    if files and not has_secrets:
        notes.append(f"{', '.join(files)} names a file of this machine and stays here: see docs/remote.md")
    return notes


def _of_datastore(datastore: str, *, is_own: bool) -> Iterator[str]:
    if datastore == "off":
        yield f"remote steps have nowhere to send to: set {_ENDPOINTS[1]}, or leave {_DATASTORE} unset"
    elif datastore.startswith(_LOCAL) and not is_own:
        yield (
            f"{_DATASTORE}={datastore} is a directory of this machine and stays here: remote steps leave their points "
            "in the flow's own datastore; set it by @environment where they have that directory too"
        )


def _protocol(said: Mapping[str, str]) -> str:
    return next((said[name] for name in _PROTOCOLS if said.get(name)), "")
