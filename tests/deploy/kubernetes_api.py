"""As much of Kubernetes' API as a list and a watch of pods and namespaces: what an informer asks for."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@contextlib.contextmanager
def kubernetes_api(objects: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Serves ``objects``, by the last part of their path (``pods``); yields its URL."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            kind = asked.path.rpartition("/")[2]
            items = objects.get(kind, [])
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if query.get("watch"):  # of what never changes
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if query.get("sendInitialEvents") == ["true"]:
                    for item in items:
                        self._event("ADDED", item)
                    mark = {"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "1"}
                    self._event("BOOKMARK", {"kind": kind_of(kind), "apiVersion": "v1", "metadata": mark})
                ended.wait(60)
                self.wfile.write(b"0\r\n\r\n")
                return
            whole = {"kind": f"{kind_of(kind)}List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
            body = json.dumps({**whole, "items": items}).encode()
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
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def kind_of(path: str) -> str:
    """``pods`` are `Pod`s."""
    return path.removesuffix("s").capitalize()
