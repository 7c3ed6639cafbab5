"""``python -m stepsize.instrumentation.agent --fd 3``: the agent's process, started by the client alone.

What comes in: a listening socket as an inherited descriptor, settings in the environment. What goes out: an exit code.
Holds nothing else of whoever started it: every other descriptor is closed before anything is done, the session is its
own. Never prints: what goes wrong is in a bounded file beside the socket.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import logging.handlers
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.discovery import machine_id
from stepsize.instrumentation import rendezvous
from stepsize.instrumentation.agent import otlp_json, otlp_protobuf
from stepsize.instrumentation.agent.agent import Agent
from stepsize.instrumentation.agent.delivery import Encoding, Request
from stepsize.instrumentation.agent.disk import Disk
from stepsize.instrumentation.agent.embedded import EmbeddedCollector
from stepsize.instrumentation.agent.gpus import Gpus
from stepsize.instrumentation.agent.host import Host
from stepsize.instrumentation.agent.journal import Journal
from stepsize.instrumentation.agent.place.finder import chosen, find_in_background
from stepsize.instrumentation.agent.probes.system import SystemProbe
from stepsize.instrumentation.agent.recorder import Recorder, agent_instance, common_attributes, host_attributes
from stepsize.instrumentation.agent.sender import Sender
from stepsize.instrumentation.agent.spools import other_spools, own_spool
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.instrumentation.agent.delivery import Destination
    from stepsize.instrumentation.agent.points import ResourcePoints
    from stepsize.instrumentation.agent.probes.portable_system import PortableSystem

_LOG_BYTES = 256 * 1024
_GARBAGE_OBJECTS = 20_000
"""What 100 tasks gather between two exports is less."""
_LOCK_S = 5.0
_OBJECT_INTERVAL_S = 30.0


def main() -> int:
    """Run the agent on the socket that was handed over."""
    parser = argparse.ArgumentParser(prog="stepsize.instrumentation.agent")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the listening socket")
    descriptor = parser.parse_args().fd
    _detach(descriptor)
    listener = socket.socket(fileno=descriptor)
    path = Path(listener.getsockname())
    _log_to(path.with_suffix(".log"))
    try:
        found = rendezvous.adopt(path, listener, time.monotonic() + _LOCK_S)
        if found is not None:
            _serve(path, found, _paced(Settings.load()))
    except Exception:
        logging.getLogger(__name__).exception("the agent failed")
        return 1
    return 0


def _detach(listener: int) -> None:
    """Be nobody's: no descriptor but the socket, no terminal, no directory that somebody may want to unmount."""
    os.closerange(3, listener)
    os.closerange(listener + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_inheritable(listener, False)
    with contextlib.suppress(OSError):
        os.setsid()
    os.chdir("/")
    os.umask(0o077)


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.raiseExceptions = False  # a full disk is no reason to end


def _paced(settings: Settings) -> Settings:
    """With fewer exports where each is an object of a datastore; ends are exported at once all the same."""
    if not settings.uses_datastore:
        return settings
    return settings._replace(export_interval_s=max(settings.export_interval_s, _OBJECT_INTERVAL_S))


def _serve(path: Path, listener: socket.socket, settings: Settings) -> None:
    host = Host(portable=settings.probes == "portable")
    system = _portable_system() if host.portable else SystemProbe(networks=host.networks)
    recorder = Recorder(host_attributes(), common_attributes(), system.boot_unix_nano(), agent_instance(path))
    find_in_background(
        chosen(settings.cloud, os.environ),
        lambda place: recorder.learn(place.attributes()),
        address=settings.cloud_metadata,
    )

    def sender(progress: Callable[[], None]) -> Sender:
        destination = partial(_destination, settings, path, host)
        return Sender(destination, partial(_seal, settings), disk=_disk(settings), progress=progress)

    journal = Journal(path, machine_id())
    gpus = Gpus(settings.interval_s, host_proc=None if settings.host_proc is None else str(settings.host_proc))
    agent = Agent(
        settings,
        path,
        listener,
        host=host,
        system=system,
        gpus=gpus,
        recorder=recorder,
        sender=sender,
        journal=journal,
    )
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: agent.stop())
    _leave_garbage()
    agent.run()


def _disk(settings: Settings) -> Disk | None:
    if not settings.spool_max_bytes:
        return None
    return Disk(own_spool(settings, os.environ), partial(other_spools, settings, os.environ))


def _leave_garbage() -> None:
    """Look for cycles seldom, and never among what stays: that took a fifth of what a sample costs."""
    gc.freeze()
    gc.set_threshold(_GARBAGE_OBJECTS)


def _portable_system() -> PortableSystem:
    from stepsize.instrumentation.agent.probes.portable_system import PortableSystem  # noqa: PLC0415 - psutil: 30 ms

    return PortableSystem()


def _seal(settings: Settings, resources: Sequence[ResourcePoints]) -> Request:
    points = sum(resource.size() for resource in resources)
    if settings.metrics_protocol_in_use == "http/json":
        body = otlp_json.encode(resources, point_attributes=settings.point_attributes)
        return Request(body, points, Encoding.JSON)
    return Request(otlp_protobuf.encode(resources, point_attributes=settings.point_attributes), points)


def _destination(settings: Settings, path: Path, host: Host) -> Destination:
    # In the sender's thread: this imports requests and the SDK, 200 ms in which the agent samples already.
    if settings.uses_datastore:
        from stepsize.instrumentation.agent.datastore import Datastore  # noqa: PLC0415 - imports Metaflow

        return Datastore(settings.datastore or "")
    try:
        from stepsize.instrumentation.agent import destination  # noqa: PLC0415

        gc.freeze()  # what was imported stays
        if settings.has_endpoint:
            return destination.Endpoint(settings)
    except ImportError as missing:
        from stepsize.instrumentation.agent import plain_http  # noqa: PLC0415 - where OpenTelemetry is not

        logging.getLogger(__name__).info("sending by the standard library: %s", missing)
        return plain_http.HttpEndpoint(plain_http.exporter(settings, os.environ))
    embedded = EmbeddedCollector(settings, path.with_suffix(".collector.log"), host.add_own)
    return destination.LocalCollector(settings, embedded)


if __name__ == "__main__":
    code = main()
    # Not sys.exit: an export that hangs in its thread, or a gRPC channel, would keep the process.
    logging.shutdown()
    os._exit(code)
