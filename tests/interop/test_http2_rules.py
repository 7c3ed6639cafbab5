"""HTTP/2 as h2spec asks for it, rule by rule (RFC 7540 and RFC 7541)."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.collector.http2.plain_server import plain_server
from tests.interop.peers import H2SPEC

pytestmark = pytest.mark.peers


@pytest.mark.needs(H2SPEC)
def test_every_rule() -> None:
    """Every rule that it knows is kept: frames, streams, windows, settings, headers and their table."""
    with plain_server() as port:
        command = [H2SPEC.path, "--host", "127.0.0.1", "--port", str(port), "--timeout", "5"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", said)
    assert counts, said
    total, passed, skipped, failed = map(int, counts.groups())
    assert (skipped, failed) == (0, 0), said
    assert passed == total >= 145
