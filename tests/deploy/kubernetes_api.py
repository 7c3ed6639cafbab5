"""As much of Kubernetes' API as a list and a watch: what an informer asks for, and who may ask it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Api:
    """Where it is, and what it did not allow."""

    url: str
    refused: list[str]


@contextlib.contextmanager
def kubernetes_api(objects: dict[str, list[dict[str, Any]]], rules: list[dict[str, Any]]) -> Iterator[Api]:
    """Serves ``objects``, by the last part of their path (``pods``), as far as a role's ``rules`` go."""
    ended = threading.Event()
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            kind = asked.path.rpartition("/")[2]
            verb = "watch" if query.get("watch") else "list"
            if not any(kind in rule["resources"] and verb in rule["verbs"] for rule in rules):
                refused.append(self.path)
                self._whole(403, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden"})
                return
            items = objects.get(kind, [])
            if verb == "list":
                whole = {"kind": f"{kind_of(kind)}List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
                self._whole(200, {**whole, "items": items})
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if query.get("sendInitialEvents") == ["true"]:
                for item in items:
                    self._event("ADDED", item)
                mark = {"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "1"}
                self._event("BOOKMARK", {"kind": kind_of(kind), "apiVersion": "v1", "metadata": mark})
            ended.wait(60)  # it never changes
            self.wfile.write(b"0\r\n\r\n")

        def _whole(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _event(self, kind: str, item: dict[str, Any]) -> None:
            line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Api(f"http://127.0.0.1:{server.server_port}", refused)
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def kind_of(path: str) -> str:
    """``pods`` are `Pod`s."""
    return path.removesuffix("s").capitalize()
