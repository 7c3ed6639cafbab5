"""Sends requests over OTLP/HTTP.

What comes in: bytes of an ``ExportMetricsServiceRequest``. What goes out: an :class:`Outcome`. Follows no redirects and
reads no environment: where it sends to, and through which proxy, is what the configuration says.
"""

from __future__ import annotations

import gzip
import os
import ssl
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from stepsize.collector.pipelines.json_text import json_text
from stepsize.collector.pipelines.outcome import Outcome, Verdict
from stepsize.errors import ConfigError
from stepsize.otlp_answers import http_may_come_again, retry_after_s, said_in_json, short

if TYPE_CHECKING:
    from stepsize.collector.components.client_tls import HttpClientTlsConfig
    from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig
    from stepsize.collector.pipelines.credentials import Credentials

_TYPES = {"proto": "application/x-protobuf", "json": "application/json"}
_MAX_ANSWER_BYTES = 64 << 10
_LEVEL = 6
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class HttpSender:
    """One exporter's connections; ``signed`` gives the header that says who it is.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """

    def __init__(self, config: OtlpHttpExporterConfig, signed: Credentials | None = None) -> None:
        self._config = config
        self._signed = signed
        self._url = config.metrics_url
        compression = config.compression if config.compression != "none" else ""
        self._encoding = "deflate" if compression == "zlib" else compression
        self._headers = {
            "user-agent": "stepsize-collector",
            "content-type": _TYPES[config.encoding],
            **({"content-encoding": self._encoding} if self._encoding else {}),
            **{name: value.reveal() for name, value in config.headers},
        }
        options: dict[str, Any] = {
            "maxsize": config.sending_queue.num_consumers,
            "block": True,
            "timeout": urllib3.Timeout(total=config.timeout_s),
            "retries": False,
        }
        if self._url.startswith("https:"):
            options |= {"ssl_context": tls_context(config.tls)}
            if config.tls.server_name_override:
                options |= {
                    "server_hostname": config.tls.server_name_override,
                    "assert_hostname": config.tls.server_name_override,
                }
            if config.tls.insecure_skip_verify:
                options |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
        proxy = config.proxy_url
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def send(self, request: bytes) -> Outcome:
        """Send one request; blocks for the configured timeout at most."""
        body = request if self._config.encoding == "proto" else _as_json(request)
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=self._packed(body),
                headers=self._with_credentials(),
                redirect=False,
                preload_content=False,
            )
            try:
                content = response.read(_MAX_ANSWER_BYTES)
                if len(content) == _MAX_ANSWER_BYTES:  # whatever more it says, nobody listens
                    response.close()
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            return Outcome(Verdict.AGAIN, f"cannot send to {self._url}: {_cause(error)}")
        return self._outcome(response.status, response.headers, content)

    def close(self) -> None:
        """Let go of connections."""
        self._pool.clear()

    def _with_credentials(self) -> dict[str, str]:
        if self._signed is None:
            return self._headers
        name, value = self._signed()
        return {**self._headers, name: value.reveal()}

    def _packed(self, body: bytes) -> bytes:
        if self._encoding == "gzip":
            return gzip.compress(body, _LEVEL, mtime=0)
        return zlib.compress(body, _LEVEL) if self._encoding else body

    def _outcome(self, status: int, headers: Any, content: bytes) -> Outcome:
        if 200 <= status < 300:
            rejected, reason = _partial_success(_content_type(headers), content)
            return Outcome(Verdict.TAKEN, reason, rejected_points=rejected)
        reason = f"{self._url} answered {status}"
        if said := _said(_content_type(headers), content):
            reason += f": {said}"
        if http_may_come_again(status):
            return Outcome(Verdict.AGAIN, reason, retry_after_s(headers.get("retry-after"), time.time()))
        return Outcome(Verdict.NEVER, reason)


def tls_context(config: HttpClientTlsConfig) -> ssl.SSLContext:
    """The TLS settings of an HTTP client.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    ca = config.ca()
    try:
        context = ssl.create_default_context(cadata=ca.decode("ascii", "replace") if ca else None)
    except (ssl.SSLError, ValueError):
        raise ConfigError("tls.ca_file: it holds no certificate") from None
    context.minimum_version = _VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _VERSIONS[config.max_version]
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = config.certificate(), config.key()
    if certificate and key:
        _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python loads a client's certificate from files alone: one in memory takes the way through one of our own."""
    descriptor, name = tempfile.mkstemp()  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(name, password="")
    except (ssl.SSLError, OSError):
        raise ConfigError("tls: certificate and key cannot be used together") from None
    finally:
        Path(name).unlink(missing_ok=True)


def _as_json(request: bytes) -> bytes:
    return json_text(ExportMetricsServiceRequest.FromString(request))


def _content_type(headers: Any) -> str:
    return str(headers.get("content-type", "")).partition(";")[0].strip()


def _partial_success(kind: str, content: bytes) -> tuple[int, str]:
    """How many points the server did not keep, and why. An answer that cannot be read says nothing."""
    if kind == _TYPES["json"]:
        return said_in_json(content)
    if kind != _TYPES["proto"]:
        return 0, ""
    try:
        partial = ExportMetricsServiceResponse.FromString(content).partial_success
    except DecodeError:
        return 0, ""
    return partial.rejected_data_points, short(partial.error_message)


def _said(kind: str, content: bytes) -> str:
    """What the server says in words, on one line."""
    if kind == _TYPES["proto"]:
        try:
            return short(status_pb2.Status.FromString(content).message)
        except DecodeError:
            return ""
    in_json = said_in_json(content)[1] if kind == _TYPES["json"] else ""
    return in_json or short(content.decode("utf-8", "replace"))


def _cause(error: Exception) -> str:
    """The innermost words of urllib3's error, without what object it was."""
    reason = getattr(error, "reason", None) or error
    return str(reason).partition(": ")[2] or str(reason)
