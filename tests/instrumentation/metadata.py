"""Metadata services of clouds on loopback: each answers as its documentation shows, and nothing else."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN = "t0k3n=="


@dataclass(frozen=True)
class Reply:
    """An answer: its body, its headers, and the headers without which it is a 401."""

    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)


def _token(prefix: str) -> dict[tuple[str, str], Reply]:
    name = f"{prefix}-token-ttl-seconds"
    return {("PUT", "/latest/api/token"): Reply(TOKEN, {name: "60"}, {name: "60"})}


def _aws(**paths: Reply) -> dict[tuple[str, str], Reply]:
    needs = {"x-aws-ec2-metadata-token": TOKEN}
    document = {"region": "eu-west-1", "availabilityZone": "eu-west-1b", "instanceType": "m5.large", "accountId": "12"}
    return {
        **_token("x-aws-ec2-metadata"),
        ("GET", "/latest/dynamic/instance-identity/document"): Reply(json.dumps(document), needs=needs),
        ("GET", "/latest/meta-data/instance-life-cycle"): Reply("spot", needs=needs),
        ("GET", "/latest/meta-data/instance-type"): Reply("m5.large", needs=needs),
        **{("GET", path): reply for path, reply in paths.items()},
    }


GCP_INSTANCE = {
    "id": 1,
    "zone": "projects/42/zones/europe-west1-b",
    "machineType": "projects/42/machineTypes/n2-standard-8",
    "scheduling": {"preemptible": "TRUE", "automaticRestart": "FALSE"},
}
AZURE_COMPUTE = {
    "azEnvironment": "AzurePublicCloud",
    "location": "westeurope",
    "vmSize": "Standard_D4s_v5",
    "zone": "2",
    "priority": "Spot",
    "host": {"id": ""},
    "subscriptionId": "8d10da13",
}
HETZNER = "hostname: worker\ninstance-id: 42\npublic-ipv4: 1.2.3.4\nregion: eu-central\navailability-zone: nbg1-dc3\n"
NETWORK = {"links": [], "services": [{"type": "dns", "address": "213.186.33.99"}]}
UPCLOUD = {"cloud_name": "upcloud", "instance_id": "00c7", "region": "de-fra1", "platform": "servers"}
ALIBABA = {
    "region-id": "cn-hangzhou",
    "zone-id": "cn-hangzhou-i",
    "instance-type": "ecs.g7.large",
    "instance-id": "i-1",
}

SERVICES: dict[str, dict[tuple[str, str], Reply]] = {
    "aws": _aws(),
    "gcp": {
        ("GET", "/computeMetadata/v1/instance/?recursive=true"): Reply(
            json.dumps(GCP_INSTANCE), {"Metadata-Flavor": "Google"}, {"metadata-flavor": "Google"}
        )
    },
    "azure": {
        ("GET", "/metadata/instance?api-version=2021-02-01"): Reply(
            json.dumps({"compute": AZURE_COMPUTE, "network": {}}), needs={"metadata": "true"}
        )
    },
    "hcloud": {("GET", "/hetzner/v1/metadata"): Reply(HETZNER)},
    "ovh": {
        ("GET", "/openstack/latest/network_data.json"): Reply(json.dumps(NETWORK)),
        ("GET", "/openstack/latest/meta_data.json"): Reply(json.dumps({"availability_zone": "nova", "uuid": "1"})),
        ("GET", "/latest/meta-data/instance-type"): Reply("b3-8"),
    },
    "upcloud": {("GET", "/metadata/v1.json"): Reply(json.dumps(UPCLOUD))},
    "alicloud": {
        **_token("x-aliyun-ecs-metadata"),
        ("GET", "/latest/dynamic/instance-identity/document"): Reply(
            json.dumps(ALIBABA), needs={"x-aliyun-ecs-metadata-token": TOKEN}
        ),
    },
}

IMPOSTORS: dict[str, dict[tuple[str, str], Reply]] = {
    "another OpenStack, with EC2's paths": {
        ("GET", "/openstack/latest/network_data.json"): Reply(json.dumps({"services": [{"address": "8.8.8.8"}]})),
        ("GET", "/openstack/latest/meta_data.json"): Reply(json.dumps({"availability_zone": "nova"})),
        ("GET", "/latest/meta-data/instance-type"): Reply("m1.large"),
        ("GET", "/latest/dynamic/instance-identity/document"): Reply(
            json.dumps({"region": "RegionOne", "instanceType": "m1.large"})
        ),
    },
    "DigitalOcean": {("GET", "/metadata/v1.json"): Reply(json.dumps({"droplet_id": 1, "region": "nyc3"}))},
    "a page for everything": {},
    "Google's paths without its header": {
        ("GET", "/computeMetadata/v1/instance/?recursive=true"): Reply(json.dumps(GCP_INSTANCE))
    },
    "Azure's shape without its environment": {
        ("GET", "/metadata/instance?api-version=2021-02-01"): Reply(json.dumps({"compute": {"vmSize": "x"}}))
    },
    "nonsense": {
        ("GET", path): Reply("[1, 2")
        for path in ("/metadata/v1.json", "/openstack/latest/network_data.json", "/hetzner/v1/metadata")
    },
}
"""Services that answer some of the same questions and are none of the vendors'."""


@contextlib.contextmanager
def serving(replies: dict[tuple[str, str], Reply], *, page: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """A service's address and what it was asked for; ``page`` is answered to everything else, in place of a 404."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(self.path)
            reply = replies.get((self.command, self.path)) or (Reply(page) if page is not None else None)
            status = 200 if reply is not None else 404
            if reply is not None and any(self.headers.get(name) != value for name, value in reply.needs.items()):
                status = 401
            self.send_response(status)
            for name, value in reply.headers.items() if reply is not None and status == 200 else ():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body.encode() if reply is not None and status == 200 else b"no")

        do_GET = do_PUT = _answer  # noqa: N815 - the names that the server looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
