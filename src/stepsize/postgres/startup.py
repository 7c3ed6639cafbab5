"""How a connection begins: encryption, who it is, and whether it may come in.

What comes in: messages, as something gives them one by one. What goes out: bytes, and in the end who was let in. Does
no I/O of its own. Source: PostgreSQL's documentation, 55.2.1 (start-up) and 55.3 (SASL authentication).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import UnavailableError
from stepsize.listening.users import Verifier
from stepsize.postgres import messages
from stepsize.postgres.errors import FatalError, ProtocolError
from stepsize.postgres.instance import DATABASE
from stepsize.postgres.scram import MECHANISM, Exchange, NotAdmittedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in.

    Attributes:
        users: names and verifiers as they are now; None where whoever connects is trusted.
        needs_tls: whether only encrypted connections may.
        secret: what verifiers of users that do not exist are made of.
    """

    users: Callable[[], Mapping[str, Verifier]] | None = None
    needs_tls: bool = False
    secret: bytes = b""


def begin(
    startup: messages.Startup, access: Access, *, is_encrypted: bool
) -> Generator[bytes, messages.Message, tuple[dict[str, str], bytes]]:
    """The dialogue after the start-up message: yields what to send, and is sent what the client says to it.

    Returns:
        The parameters of the connection, those of ``options`` among them, and what to send last.

    Raises:
        FatalError: it may not come in.
    """
    said = {**startup.parameters, **_options(startup.parameters.get("options", ""))}
    user = said.get("user", "")
    unknown = [name for name in startup.parameters if name.startswith("_pq_.")]
    greeting = messages.negotiate(unknown) if startup.minor or unknown else b""
    if not user:
        raise FatalError("28000", "no PostgreSQL user name specified in startup packet")
    if access.needs_tls and not is_encrypted:
        raise FatalError("28000", "this connection has to be encrypted: sslmode=require, or stronger")
    if said.get("replication", "false").lower() not in {"", "0", "off", "no", "false"}:
        raise FatalError("0A000", "replication is not supported")
    if access.users is not None:
        greeting = yield from _authenticate(user, access, greeting)
    if said.get("database", user) not in {DATABASE, user}:
        raise FatalError("3D000", f'database "{said["database"]}" does not exist; it is called {DATABASE}')
    return said, greeting + messages.AUTHENTICATION_OK


def _authenticate(user: str, access: Access, greeting: bytes) -> Generator[bytes, messages.Message, bytes]:
    """Ask for the password; what to say of it last."""
    refusal = FatalError("28P01", f'password authentication failed for user "{user}"')
    try:
        users = access.users() if access.users is not None else {}
    except UnavailableError:
        raise FatalError("28000", "it is not known now who may come in; try again later") from None
    likeness = next(iter(users.values())).iterations if users else 4096
    exchange = Exchange(users.get(user) or Verifier.mock(user, access.secret, likeness))
    initial = yield greeting + messages.authentication_sasl([MECHANISM])
    try:
        mechanism, content = messages.sasl_initial(_password(initial))
        if mechanism != MECHANISM:
            raise ProtocolError("client selected an invalid SASL authentication mechanism")
        last = yield messages.authentication_sasl_continue(exchange.first(content))
        final = exchange.final(_password(last))
    except NotAdmittedError:
        raise refusal from None
    if user not in users:
        raise refusal
    return messages.authentication_sasl_final(final)


def _password(message: messages.Message) -> bytes:
    if not isinstance(message, messages.Password):
        raise ProtocolError("expected a SASL response")
    return message.content


def _options(text: str) -> dict[str, str]:
    """Settings of ``-c name=value`` and ``--name=value``."""
    found: dict[str, str] = {}
    words = text.split()
    for place, word in enumerate(words):
        said = word[2:] if word.startswith(("-c", "--")) else ""
        if word == "-c" and place + 1 < len(words):
            said = words[place + 1]
        name, equals, value = said.partition("=")
        if equals:
            found[name.replace("-", "_")] = value
    return found


def new_secret() -> bytes:
    """One for :attr:`Access.secret`."""
    return secrets.token_bytes(32)
