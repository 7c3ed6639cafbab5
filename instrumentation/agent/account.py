"""Where points go and whose they are there, apart from the keys that open it.

What comes in: settings and the `OTEL_EXPORTER_OTLP_*` variables. What goes out: an `Account`, the same for a token and
the one that replaces it, another for each tenant. Pure. Nothing that goes out is or tells a secret. Standard library
only.

What proves who asks is renewed daily, so it is no part of an account: HTTP's own headers for it (RFC 9110, 11.6; RFC
6265) and the two that gateways are commonly given. Any other header may name a tenant (``X-Scope-OrgID``, a vendor's
key to one account) and is a part. So is the user of a Basic login, whose password is not (RFC 7617), and the file of a
client certificate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepsize.settings import Settings

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"})
"""Headers that prove who asks and say nothing else, in lower case."""
_SIGNAL_PATH = "/v1/metrics"


@dataclass(frozen=True, slots=True)
class Account:
    """Where points go and whose they are there.

    Attributes:
        destination: for people; no secret.
        headers: names, in lower case, of the headers that are a part of it.
        digest: equal where points may go out with each other's credentials.
    """

    destination: str
    headers: tuple[str, ...]
    digest: str


def account_of(settings: Settings, environ: Mapping[str, str]) -> Account:
    """The account that an agent of ``settings`` in ``environ`` delivers to."""
    endpoint = settings.metrics_endpoint or settings.endpoint
    if not endpoint:
        if settings.uses_datastore:
            return Account(f"the datastore {settings.datastore}", (), _digest(settings.destination))
        return Account(f"the collector of {settings.data.absolute()}", (), _digest(settings.destination))
    url, user = without_login(endpoint)
    headers = parse_headers(exporter_variable("HEADERS", environ))
    logins = {**({} if user is None else {"authorization": f"user {user[0]}"}), **dict(_logins(headers))}
    telling = {name: value for name, value in headers.items() if name not in CREDENTIAL_HEADERS}
    place = url.rstrip("/").removesuffix(_SIGNAL_PATH)
    parts = place, sorted(telling.items()), sorted(logins.items()), exporter_variable("CLIENT_CERTIFICATE", environ)
    return Account(_shown(url), tuple(sorted(telling)), _digest(repr(parts)))


def exporter_variable(name: str, environ: Mapping[str, str]) -> str:
    """What ``OTEL_EXPORTER_OTLP_*`` says, that of the metrics signal before the general one; empty where none does."""
    return environ.get(f"OTEL_EXPORTER_OTLP_METRICS_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def parse_headers(text: str) -> dict[str, str]:
    """``key=value`` pairs with commas between, percent-encoded; names in lower case.

    Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter", "Specifying headers via environment
    variables".
    """
    pairs = (pair.partition("=") for pair in text.split(","))
    return {unquote(key.strip()).lower(): unquote(value.strip()) for key, equals, value in pairs if equals}


def without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without the user and password in it, and these two, if any."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, None
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))


def _logins(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Which credentials name a user, and that."""
    for name in CREDENTIAL_HEADERS & headers.keys():
        scheme, _, encoded = headers[name].strip().partition(" ")
        if scheme.lower() == "basic":
            try:
                user = base64.b64decode(encoded.strip(), validate=True).partition(b":")[0]
            except (binascii.Error, ValueError):
                continue
            yield name, f"user {user.decode('utf-8', 'surrogateescape')}"


def _shown(url: str) -> str:
    """Without what may be a secret: a query."""
    return url.partition("?")[0].partition("#")[0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
