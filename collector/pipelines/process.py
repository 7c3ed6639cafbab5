"""The exporters as a process of their own, child of the collector: ``python -m stepsize.collector.pipelines.process``.

What comes in on standard input: :class:`ExportingSettings`, pickled, after their length (8 bytes), then lines:
``durable LOG SEGMENT OFFSET`` (the log of that index can be read up to there) and ``stop``. What goes out on standard
output, one line each: ``ready``, ``count WHAT EXPORTER POINTS``, ``log LINE``, or ``error MESSAGE`` before an exit
with 1. At the end of standard input what is durable is sent, for `DRAIN_S` at most; after ``stop`` it ends as soon as
it can, as it does where the collector was killed and another one is there already. What is left waits in the log for
the next process. Any failure ends this one; the collector starts another one.

A process of its own, so that nothing that exporters do (decoding, compressing, waiting) delays an acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.debug_exporter import DebugExporterConfig
from stepsize.collector.components.file_exporter import FileExporterConfig
from stepsize.collector.components.otlp_exporter import OtlpExporterConfig
from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig
from stepsize.collector.components.prometheus_exporter import PrometheusExporterConfig
from stepsize.collector.pipelines.credentials import credentials
from stepsize.collector.pipelines.forwarder import Forwarder
from stepsize.collector.pipelines.settings import DRAIN_S, HEAD_BYTES, PLACE_S
from stepsize.collector.pipelines.showing import DebugReader, FileReader, PrometheusReader, Reader
from stepsize.collector.processes.child import Place, leave_signals_to_the_collector, say
from stepsize.collector.state import EXPORTERS_LOCK_FILE
from stepsize.collector.wal.reader import delete_before
from stepsize.errors import StepsizeError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.pipelines.credentials import Credentials
    from stepsize.collector.pipelines.outcome import Sender
    from stepsize.collector.pipelines.settings import ExportingSettings, LogSettings

_STOP_GRACE_S = 2.0
_CLEAN_S = 1.0
_LOOK_S = 0.05


def main() -> None:
    """Entry point of the process."""
    leave_signals_to_the_collector()
    content = _exactly(int.from_bytes(_exactly(HEAD_BYTES), "little"))
    settings: ExportingSettings = pickle.loads(content)  # noqa: S301 - our parent wrote it to a pipe of our own
    place = Place(settings.state / EXPORTERS_LOCK_FILE)
    try:
        with place.held(PLACE_S):  # of two, each would send what the other sends
            code = asyncio.run(_Exporting(settings, place).run())
    except StepsizeError as error:
        say("error", str(error))
        code = 1
    sys.stdout.flush()
    os._exit(code)  # a thread may still wait for a server that does not answer


def _exactly(size_bytes: int) -> bytes:
    """So many bytes of standard input and none beyond: what follows is read in another way."""
    content = b""
    while len(content) < size_bytes and (more := os.read(sys.stdin.fileno(), size_bytes - len(content))):
        content += more
    return content


class _Exporting:
    def __init__(self, settings: ExportingSettings, place: Place) -> None:
        self._settings = settings
        self._place = place
        self._logs: list[tuple[LogSettings, list[Reader | Forwarder]]] = [(log, []) for log in settings.logs]
        self._failed = asyncio.Event()

    async def run(self) -> int:
        """Export until told to end; returns the exit code."""
        asyncio.get_running_loop().set_exception_handler(self._fail)
        for log, readers in self._logs:
            readers += [await self._reader(name, log) for name in log.exporters]
        running = {asyncio.create_task(reader.run()) for _, readers in self._logs for reader in readers}
        running.add(cleaning := asyncio.create_task(self._clean()))
        say("ready")
        told = asyncio.create_task(self._listen())
        ended = asyncio.create_task(self._failed.wait())
        for task in running:
            task.add_done_callback(self._check)
        await asyncio.wait({told, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not self._failed.is_set():
            if told.result():  # drain
                for _, readers in self._logs:
                    for reader in readers:
                        reader.finish()
                await self._drained(running - {cleaning})
            stops = [reader.stop(_STOP_GRACE_S) for _, readers in self._logs for reader in readers]
            await asyncio.gather(*stops)
            self._delete_read()
        return int(self._failed.is_set())

    async def _drained(self, running: set[asyncio.Task[None]]) -> None:
        """Return when all that is durable is sent, or there is no more time for it."""
        until_s = time.monotonic() + DRAIN_S
        while running and time.monotonic() < until_s and not self._place.is_wanted():
            _, running = await asyncio.wait(running, timeout=_LOOK_S)

    async def _listen(self) -> bool:
        """Take what the collector says until it ends; whether there is time to send what is left."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            word, *numbers = line.decode("ascii").split()
            if word == "stop":
                return False
            index, segment, offset = map(int, numbers)
            for one in self._logs[index][1]:
                one.advance(WalPosition(segment, offset))
        return True

    async def _reader(self, name: str, log: LogSettings) -> Reader | Forwarder:
        config = self._settings.exporters[name]
        if isinstance(config, (OtlpExporterConfig, OtlpHttpExporterConfig)):
            return Forwarder(
                name,
                log.directory,
                _sender(config, credentials(self._settings.extensions.get(name))),
                queue=config.sending_queue,
                retry=config.retry_on_failure,
                batch=log.batch,
                log=_log,
                count=_counter(name),
                until=log.until,
            )
        if isinstance(config, FileExporterConfig):
            return FileReader(name, log.directory, config, _log, keep=not self._settings.is_first, until=log.until)
        if isinstance(config, DebugExporterConfig):
            return DebugReader(log.directory, config, _log)
        assert isinstance(config, PrometheusExporterConfig)
        listener = socket.socket(fileno=self._settings.listeners[name])
        listener.setblocking(False)
        return await PrometheusReader.open(log.directory, config, _log, listener)

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(_CLEAN_S)
            for reader in (reader for _, readers in self._logs for reader in readers):
                if isinstance(reader, Forwarder):
                    reader.tidy()
            self._delete_read()

    def _delete_read(self) -> None:
        """Delete what every reader of a log has read; of the main log, the sink does."""
        for log, readers in self._logs:
            if not log.is_main and readers:
                with contextlib.suppress(OSError):
                    delete_before(log.directory, min(reader.done for reader in readers))

    def _check(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log(f"{error}" if isinstance(error, StepsizeError) else f"a defect: {error!r}")
            self._failed.set()

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _log(f"a defect: {context.get('exception') or context['message']!r}")
        self._failed.set()


def _sender(config: OtlpExporterConfig | OtlpHttpExporterConfig, signed: Credentials | None) -> Sender:
    if isinstance(config, OtlpExporterConfig):
        from stepsize.collector.pipelines.grpc_sender import GrpcSender  # noqa: PLC0415 - 20 MiB of memory

        return GrpcSender(config, signed)
    from stepsize.collector.pipelines.http_sender import HttpSender  # noqa: PLC0415 - as above, of urllib3

    return HttpSender(config, signed)


def _counter(exporter: str) -> Callable[[str, int], None]:
    return lambda what, points: say("count", f"{what} {exporter} {points}")


def _log(line: str) -> None:
    say("log", line)


if __name__ == "__main__":
    main()
