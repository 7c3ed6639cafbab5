"""The agent's socket: what it does where the system lets it have no more files."""

from __future__ import annotations

import os
import resource
import selectors
import socket
from contextlib import closing
from pathlib import Path

from stepsize.instrumentation import rendezvous
from stepsize.instrumentation.agent.server import Server
from tests.places import short_directory


def test_a_client_for_whom_there_is_no_descriptor_waits_without_a_spin() -> None:
    """The selector is not woken by it again and again; once there is room, it is let in."""
    with short_directory() as directory, selectors.DefaultSelector() as selector:
        path = Path(directory) / "a.sock"
        with rendezvous.listen(path) as listener, closing(socket.socket(socket.AF_UNIX)) as client:
            server = Server(listener, selector)
            client.connect(os.fspath(path))
            most = resource.getrlimit(resource.RLIMIT_NOFILE)
            used = os.dup(listener.fileno())
            os.close(used)
            resource.setrlimit(resource.RLIMIT_NOFILE, (used, most[1]))
            try:
                assert server.accept() == 0
                assert server.is_full
                assert selector.select(0) == []
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, most)
            assert server.accept() == 1
            assert not server.is_full
            assert server.busy
            client.close()
            assert list(server.receive()) == []
            assert not server.busy
