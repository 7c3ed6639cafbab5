"""``stepsize collect``: the collector as a command.

What comes in: a configuration file and a data directory. What goes out: the collector's lines on standard error, and,
embedded, ``ready`` on standard output once it serves. Exit code 1 where a port, directory or another collector is in
the way, 2 where the configuration is wrong.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.collector.config.service import CONFIG_FILE, default_text, load, parse
from stepsize.collector.telemetry.lines import Lines, LineStream
from stepsize.collector.telemetry.log import Log
from stepsize.errors import ConfigError, StepsizeError, UsageError
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.collector.config.service import CollectorConfig

_PATH = click.Path(path_type=Path)


@click.command("collect")
@click.option("--config", "config_file", type=_PATH, help="Configuration, as otel-config.yaml; without it, that file.")
@click.option("--data", metavar="DIR", help="The lake: a directory or s3://BUCKET/PREFIX, for the configuration's.")
@click.option("--embedded", is_flag=True, help="Serve a Unix socket alone, and end with standard input.")
@click.option("--validate", is_flag=True, help="Check the configuration and end.")
def command(config_file: Path | None, data: str | None, embedded: bool, validate: bool) -> None:
    """Receive OpenTelemetry metrics and keep them as Parquet that DuckDB reads."""
    if embedded and config_file is not None:
        raise UsageError("--embedded takes no --config: it serves a Unix socket alone")
    config = _read(config_file)
    if validate:
        from stepsize.collector.server.validate import check_files  # noqa: PLC0415 - nobody else needs it

        check_files(config)
        click.echo(f"{config_file or CONFIG_FILE}: valid", err=True)
        return
    settings = _settings(config, data)
    from stepsize.collector.server.collector import run  # noqa: PLC0415 - checking a configuration needs no server

    logs = config.telemetry.logs
    prefix = "stepsize collect: " if logs.encoding == "console" else ""
    said = sys.stderr
    lines = Lines(lambda line: click.echo(f"{prefix}{line}", file=said))
    log = Log(lines, level=logs.level, encoding=logs.encoding)
    lines.left_out = log.left_out

    def ready(addresses: list[str]) -> None:
        if embedded:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
        else:
            where = f"no lake, what waits is in {settings.state_dir}" if config.is_relay else f"lake in {settings.lake}"
            log(f"{', '.join(addresses)}; {where}")

    def read() -> CollectorConfig:
        changed = _read(config_file)
        fixed = {
            "the data directory or the state directory": _settings(changed, data) == settings,
            "whether there is a parquet exporter": changed.is_relay == config.is_relay,
            "exporters.parquet.write_ahead_log": changed.parquet.wal == config.parquet.wal,
            "service.telemetry.logs": changed.telemetry.logs == logs,
            "limits.max_in_flight_mib of the receivers": _in_flight(changed) == _in_flight(config),
        }
        for what, is_same in fixed.items():
            if not is_same:
                raise ConfigError(f"{what} cannot change while the collector runs; stop it and start it again")
        return changed

    source = os.path.abspath(config_file) if config_file else ""  # noqa: PTH100 - `..` goes, links stay
    with _heard(lines), contextlib.redirect_stderr(LineStream(lines)):
        run(config, settings, embedded=embedded, log=log, ready=ready, read=read, source=source)


@contextlib.contextmanager
def _heard(lines: Lines) -> Iterator[None]:
    """Close the lines at the end, and end without another word where nobody reads them: it would never be over."""
    code = 0
    try:
        yield
    except StepsizeError as error:
        code = error.exit_code
        raise
    except BaseException:
        code = 1
        raise
    finally:
        if not lines.close():
            os._exit(code)


def _in_flight(config: CollectorConfig) -> int:
    return max(int(receiver.limits.limits.in_flight_bytes) for receiver in config.receivers.values())


def _read(config_file: Path | None) -> CollectorConfig:
    if config_file is None:
        return parse(default_text(), CONFIG_FILE, os.environ)
    return load(config_file, os.environ)


def _settings(config: CollectorConfig, data: str | None) -> Settings:
    """The environment's settings, with the lake and the directory that the command line or the configuration names."""
    parquet = config.parquet
    if data is None and parquet.directory is not None:
        data = str(parquet.directory)
    return Settings.load(data=data, state=parquet.state_directory)
