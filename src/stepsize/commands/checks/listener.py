"""What listens at an address: whether anybody does, which protocol it begins with, what is wrong with its certificate.

What comes in: a host, a port, whom to trust. What goes out: an enumeration, or an :class:`AddressError` with one line
that says what is wrong. Connects at most a few times, sends no request that anybody would act upon, and waits
:data:`PATIENCE_S` for each answer at most.

A server of HTTP/2 (which gRPC is) begins with a SETTINGS frame (RFC 9113, 3.4); one of HTTP/1 answers the preface of
HTTP/2 with a refusal in its own words; one of TLS answers a ClientHello.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 5.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_FRAME_HEAD_BYTES, _SETTINGS = 9, 4
_HUNG_UP, _SILENCE = b"", b"?"
_SHOW_CERTIFICATE = "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY to files that it believes"
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
"""Of X509_verify_cert_error (OpenSSL, x509_vfy.h)."""


class Protocol(Enum):
    """What a server speaks, inside TLS where there is any."""

    HTTP1 = "HTTP/1"
    HTTP2 = "HTTP/2"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens at an address.

    Attributes:
        is_tls: whether it wants TLS.
        speaks: what it speaks; unknown where it wants TLS and was asked without.
    """

    is_tls: bool
    speaks: Protocol


class AddressError(Exception):
    """Why nothing can be sent to an address: what is wrong, and what to do about it."""

    def __init__(self, said: str, remedy: str) -> None:
        super().__init__(said)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a client believes, and how it shows who it is.

    Attributes:
        authorities: a file of certificates, as the client would read it.
        certificate: the client's own; its key may be in it.
        key: the certificate's key.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def look_at(host: str, port: int, trust: Trust | None, *, wants_http2: bool) -> Listener:
    """Who listens at an address.

    Args:
        host: its name, which its certificate has to have.
        port: where it listens.
        trust: whom the client believes; None for a client without TLS.
        wants_http2: which protocol the client would speak.

    Raises:
        AddressError: nobody can be reached there, or TLS fails between the two.
    """
    with _connected(host, port) as connection:
        words = _first_words(connection)
    if _protocol(words) is Protocol.HTTP2 or not _speaks_tls(host, port):
        return Listener(is_tls=False, speaks=_protocol(words))
    if trust is None:
        return Listener(is_tls=True, speaks=Protocol.UNKNOWN)
    context = _context(trust)
    context.set_alpn_protocols(["h2", "http/1.1"] if wants_http2 else ["http/1.1", "h2"])
    with _connected(host, port) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                words = _first_words(encrypted)
        except ssl.SSLCertVerificationError as error:
            raise _distrusted(host, port, trust, error) from None
        except ssl.SSLError as error:
            raise _handshake_failed(error) from None
        except OSError as error:
            raise AddressError(f"it ends the TLS handshake ({error.strerror or error})", "see its log") from None
    if words == _HUNG_UP:
        said = "it hangs up as soon as TLS is up, as one does that wants a certificate of the client"
        raise AddressError(said, _SHOW_CERTIFICATE)
    return Listener(is_tls=True, speaks=_protocol(words))


def _connected(host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), PATIENCE_S)
    except socket.gaierror as error:
        remedy = "correct the name, or this machine's DNS"
        raise AddressError(f"the name {host} is not known here ({error.strerror})", remedy) from None
    except ConnectionRefusedError:
        remedy = "start who should listen there, or correct the address (OTLP is port 4318 over HTTP, 4317 over gRPC)"
        raise AddressError("nobody listens there: the connection is refused", remedy) from None
    except TimeoutError:
        remedy = "correct the address, or let it through the firewall or NetworkPolicy in between"
        raise AddressError(f"nobody answers within {PATIENCE_S:g} s", remedy) from None
    except OSError as error:
        said = f"it cannot be reached ({error.strerror or error})"
        raise AddressError(said, "correct the address, or this machine's network") from None


def _first_words(connection: socket.socket) -> bytes:
    """What a server says first, or that it hangs up.

    Raises:
        ssl.SSLError: it refuses us by an alert, a client's certificate that is missing say.
    """
    try:
        connection.sendall(_PREFACE)
        return connection.recv(64)
    except ssl.SSLError:
        raise
    except TimeoutError:
        return _SILENCE
    except OSError:
        return _HUNG_UP


def _protocol(words: bytes) -> Protocol:
    if len(words) >= _FRAME_HEAD_BYTES and words[3] == _SETTINGS and not any(words[5:9]):
        return Protocol.HTTP2
    return Protocol.HTTP1 if words.startswith(b"HTTP/") else Protocol.UNKNOWN


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only whether it is TLS is asked
    with _connected(host, port) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host):
                return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")  # it refuses us, in TLS
        except OSError:
            return False


def _context(trust: Trust) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.authorities)
        if trust.certificate is not None:
            context.load_cert_chain(trust.certificate, trust.key)
    except OSError as error:  # ssl.SSLError too
        files = ", ".join(str(file) for file in (trust.authorities, trust.certificate, trust.key) if file)
        remedy = "correct OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY"
        raise AddressError(f"certificates cannot be read ({files}: {error.strerror or error})", remedy) from None
    return context


def _distrusted(host: str, port: int, trust: Trust, error: ssl.SSLCertVerificationError) -> AddressError:
    if error.verify_code in (_NOT_YET, _EXPIRED):
        when = "is not valid yet" if error.verify_code == _NOT_YET else "has expired"
        return AddressError(
            f"its certificate {when}", "renew it, or set this machine's clock, if that is what is wrong"
        )
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        names = _names(host, port, trust)
        said = f"its certificate is for {names or 'other names'}, not for {host}"
        return AddressError(said, "use one of these names, or give it a certificate for this one")
    said = f"its certificate is not believed: {error.verify_message}"
    if trust.authorities is not None and _system_believes(host, port):
        return AddressError(said, f"the system believes it: OTEL_EXPORTER_OTLP_CERTIFICATE={_system_file()}")
    return AddressError(said, "set OTEL_EXPORTER_OTLP_CERTIFICATE to the file with its authority's certificate")


def _names(host: str, port: int, trust: Trust) -> str:
    """The names of a certificate that is believed but for its name."""
    context = _context(trust)
    context.check_hostname = False
    try:
        with _connected(host, port) as plain, context.wrap_socket(plain, server_hostname=host) as connection:
            certificate = connection.getpeercert() or {}
    except (OSError, AddressError):
        return ""
    named: Any = certificate.get("subjectAltName", ())  # pairs of a kind and a name
    return ", ".join(str(name) for _, name in named)


def _system_file() -> str | None:
    return ssl.get_default_verify_paths().cafile


def _system_believes(host: str, port: int) -> bool:
    """Whether the system's list of authorities, which Python's libraries do not read by themselves, has this one."""
    if _system_file() is None:
        return False
    try:
        with _connected(host, port) as plain, ssl.create_default_context().wrap_socket(plain, server_hostname=host):
            return True
    except (OSError, AddressError):
        return False


def _handshake_failed(error: ssl.SSLError) -> AddressError:
    reason = error.reason or ""
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return AddressError("it asks for a certificate of the client", _SHOW_CERTIFICATE)
    if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason:
        remedy = "have its client_ca_file hold the authority of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
        return AddressError("it does not believe the client's certificate", remedy)
    words = reason.replace("_", " ").lower() or str(error)
    return AddressError(f"TLS fails: {words}", "see its log, and which versions of TLS it speaks")
