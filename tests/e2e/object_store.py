"""As much of S3 as Metaflow asks of it, in memory, on loopback: where remote steps and deployments keep everything.

And as much of Step Functions as it takes to compile a state machine, and of Metaflow's service as a run asks of it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"
_ANSWERS = {
    "/": {"stateMachines": []},
    "/v1/describejobqueues": {"jobQueues": [{"computeEnvironmentOrder": [{"computeEnvironment": "one"}]}]},
    "/v1/describecomputeenvironments": {"computeEnvironments": [{"computeResources": {"type": "EC2"}}]},
    "/v1/describejobdefinitions": {"jobDefinitions": []},
    "/v1/registerjobdefinition": {"jobDefinitionArn": "arn:one"},
}
"""What compiling a state machine asks of Step Functions and Batch."""


_SERVICE = "/service/"
_RECORDS = {"run_number": "1", "task_id": "1", "tags": [], "system_tags": []}
"""What Metaflow's service says of whatever a run tells it."""


@dataclass
class ObjectStore:
    """Objects by key, where they are served, and what Batch and Step Functions were asked.

    An answer is what is answered, or a function that makes it of what was asked.
    """

    url: str = ""
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    posted: list[tuple[str, bytes]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=lambda: dict(_ANSWERS))

    def service(self) -> dict[str, str]:
        """What a launcher needs to keep its metadata in the service in place of files."""
        return {"METAFLOW_DEFAULT_METADATA": "service", "METAFLOW_SERVICE_URL": self.url + _SERVICE}

    def environment(self) -> dict[str, str]:
        """What a launcher of remote steps is configured with."""
        return {
            "METAFLOW_DEFAULT_DATASTORE": "s3",
            "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{BUCKET}/metaflow",
            "METAFLOW_S3_ENDPOINT_URL": self.url,
            "METAFLOW_DEFAULT_METADATA": "local",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_SFN": self.url,
            "AWS_ENDPOINT_URL_BATCH": self.url,
            "METAFLOW_BATCH_JOB_QUEUE": "queue",
            "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": "role",
            "METAFLOW_SFN_IAM_ROLE": "arn:aws:iam::1:role/one",
            "METAFLOW_SFN_DYNAMO_DB_TABLE": "table",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",  # else bodies come in signed chunks
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    server = _Server(store)
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Serves the store of its server."""

    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}").lstrip("/")

    def do_PUT(self) -> None:
        kept = {name.lower(): text for name, text in self.headers.items() if name.lower().startswith("x-amz-meta-")}
        self.server.store.objects[self.key] = self.body(), kept
        self.answer(200, headers={"ETag": '"0"'})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        objects = self.server.store.objects
        if self.path.startswith(_SERVICE):
            self.answer(200, b"{}")
        elif not self.key:
            self.answer(200, _listing(objects, parse_qs(urlsplit(self.path).query)))
        elif self.key in objects:
            content, kept = objects[self.key]
            self.answer(200, content, {"ETag": '"0"', "Last-Modified": "Sun, 22 Nov 2026 04:00:00 GMT", **kept})
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_POST(self) -> None:
        self.server.store.posted.append((self.path, self.body()))
        if self.path.startswith(_SERVICE):
            self.answer(200, json.dumps(_RECORDS).encode())
            return
        answer = self.server.store.answers.get(self.path)
        if callable(answer):
            answer = answer(json.loads(self.server.store.posted[-1][1]))
        self.answer(200 if answer else 400, json.dumps(answer or {"message": "not here"}).encode())

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def __init__(self, store: ObjectStore) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store


def _listing(objects: dict[str, tuple[bytes, dict[str, str]]], query: dict[str, list[str]]) -> bytes:
    prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
    keys, folders = [], set()
    for key in sorted(key for key in list(objects) if key.startswith(prefix)):
        inner, slash, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
        if slash:
            folders.add(prefix + inner + slash)
        else:
            keys.append(key)
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key][0])}</Size></Contents>" for key in keys
    )
    common = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}{common}</ListBucketResult>".encode()
