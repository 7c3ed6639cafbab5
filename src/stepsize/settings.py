"""The one typed table of settings: argument over environment variable over default.

What comes in: a mapping of environment variables and keyword arguments. What goes out: a frozen :class:`Settings`.
Never reads a file, never keeps state: whoever needs a setting is given a ``Settings``. Standard library only, since
the client reads it inside the user's process, and no dataclass (`docs/decisions/0008`). Collector components are
configured in ``otel-config.yaml`` instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize import setting_values as kinds
from stepsize.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _staged(address: str, state: Path | None) -> dict[str, Any]:
    """The settings of a lake in an object store: its collector writes a local one, of which the store has a copy."""
    import hashlib  # noqa: PLC0415 - hardly ever needed, and this is read in the user's process

    store = kinds.store_address(address)
    digest = hashlib.sha256(store.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = f"{store.removeprefix(kinds.STORE).partition('/')[0]}-{digest}"
    state = state or kinds.home_data() / "stores" / name
    return {"data": state / f"lake-{name}", "state": state, "store": store}  # a state directory may serve several


_EXPORTER_PREFIX = "OTEL_EXPORTER_OTLP_"


def _text(value: Any) -> str:
    """The text that a row's parser reads back as ``value``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Row:
    """A row of the table.

    Args:
        env: the environment variable.
        parse: reads its text; a `ValueError` says what is wrong with it.
        meaning: for the documentation.
        default: what holds without it, or a function that tells it.
        travels: whether it holds on another machine too, which no path does.
    """

    __slots__ = ("default", "env", "meaning", "parse", "travels")

    def __init__(self, env: str, parse: Callable[[str], Any], meaning: str, default: Any, *, travels: bool) -> None:
        self.env = env
        self.parse = parse
        self.meaning = meaning
        self.default = default
        self.travels = travels and parse not in (kinds.path, kinds.data_directory)


def _row(env: str, parse: Callable[[str], Any], meaning: str, default: Any, *, travels: bool = True) -> Any:
    """A row of the table, where type checkers see the default of its field."""
    return _Row(env, parse, meaning, default, travels=travels)


class _Table(NamedTuple):
    """The fields of `Settings`, each with its row in place of its default."""

    enabled: bool = _row("STEPSIZE", kinds.parse_bool, "Track every step of every Metaflow flow.", False)
    interval_s: float = _row("STEPSIZE_INTERVAL", kinds.seconds, "Seconds between samples.", 1.0)
    export_interval_s: float = _row("STEPSIZE_EXPORT_INTERVAL", kinds.seconds, "Seconds between exports.", 5.0)
    data: Path = _row(
        "STEPSIZE_DATA", kinds.data_directory, "The lake: a directory, or `s3://BUCKET/PREFIX`.", kinds.home_data
    )
    state: Path | None = _row(
        "STEPSIZE_STATE",
        kinds.path,
        "The collector's write-ahead log and identity; `wal/` in the data directory. For `s3://` the lake from which "
        "uploads are made, too: in `~/.stepsize/stores/`.",
        None,
    )
    runtime: Path | None = _row(
        "STEPSIZE_RUNTIME",
        kinds.path,
        "Directory of the sockets; `$XDG_RUNTIME_DIR/stepsize` or `/tmp/stepsize-UID`.",
        None,
    )
    spool: Path | None = _row(
        "STEPSIZE_SPOOL",
        kinds.path,
        "Where points wait that nobody takes, each user's in a part of its own; `spool/` in the data directory.",
        None,
    )
    spool_max_bytes: kinds.Size = _row(
        "STEPSIZE_SPOOL_MAX",
        kinds.size,
        "Points waiting on disk for one destination take no more than this; `0B` keeps none.",
        kinds.Size(256 << 20),
    )
    catalog: Path | None = _row(
        "STEPSIZE_CATALOG",
        kinds.path,
        "Where `stepsize catalog update` keeps servers and prices; `catalog/` in the data directory.",
        None,
    )
    datastore: str | None = _row(
        "STEPSIZE_DATASTORE",
        kinds.datastore,
        "Where remote Metaflow steps without an endpoint leave their points, `TYPE:ROOT` or `off`; the flow's own.",
        None,
    )
    agent_idle_s: float = _row("STEPSIZE_AGENT_IDLE", kinds.seconds, "An agent without tasks ends after so long.", 30.0)
    end_wait_s: float | None = _row(
        "STEPSIZE_END_WAIT",
        kinds.wait,
        "The end of a task waits at most so many seconds for unsent points; 2 where the host ends with it, else 0.",
        None,
    )
    autostart: bool = _row(
        "STEPSIZE_AUTOSTART",
        kinds.parse_bool,
        "Track every Python program (needs stepsize-autostart, docs/activation.md).",
        False,
        travels=False,
    )
    cloud: str = _row(
        "STEPSIZE_CLOUD",
        kinds.cloud,
        "Whose metadata service says where this runs: auto, off, aws, gcp, azure, hcloud, ovh, upcloud, alicloud.",
        "auto",
    )
    cloud_metadata: str | None = _row(
        "STEPSIZE_CLOUD_METADATA",
        str,
        "Address of the metadata service, where it is not the cloud's own.",
        None,
        travels=False,
    )
    card: bool = _row(
        "STEPSIZE_CARD", kinds.parse_bool, "Give each task of a Metaflow flow that is tracked a card.", False
    )
    card_refresh_s: float = _row(
        "STEPSIZE_CARD_REFRESH", kinds.seconds, "Seconds between two states of a card, at least.", 5.0
    )
    autosize_wait_s: float = _row(
        "STEPSIZE_AUTOSIZE_WAIT",
        kinds.wait,
        "A launch with `@autosize` waits at most so many seconds for the lake; `0` asks none.",
        5.0,
        travels=False,
    )
    probes: str = _row(
        "STEPSIZE_PROBES", kinds.probes, "`portable` measures through psutil, as on other systems than Linux.", "auto"
    )
    flow: str | None = _row(
        "STEPSIZE_FLOW", str, "Name of the workflow, for what is no Metaflow step.", None, travels=False
    )
    run: str | None = _row(
        "STEPSIZE_RUN", str, "Name of the run; the orchestrator's, else the time it started.", None, travels=False
    )
    step: str | None = _row(
        "STEPSIZE_STEP", str, "Name of the step; the orchestrator's, else `run`.", None, travels=False
    )
    task: str | None = _row(
        "STEPSIZE_TASK", str, "Name of the task among those of its step; the orchestrator's.", None, travels=False
    )
    attempt: int | None = _row(
        "STEPSIZE_ATTEMPT", kinds.attempt, "Which attempt of the task, from 0; the orchestrator's.", None, travels=False
    )
    host_proc: Path | None = _row(
        "HOST_PROC",
        kinds.path,
        "In a container: where the host's /proc is mounted, to tell whose GPU processes are.",
        None,
    )
    point_attributes: bool = _row(
        "STEPSIZE_POINT_ATTRIBUTES", kinds.parse_bool, "Copy flow, run and step onto every point.", False
    )
    endpoint: str | None = _row(
        "OTEL_EXPORTER_OTLP_ENDPOINT", str, "Where to send to; unset: the collector of STEPSIZE_DATA.", None
    )
    metrics_endpoint: str | None = _row(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", str, "As OTEL_EXPORTER_OTLP_ENDPOINT, for metrics, used as it is.", None
    )
    protocol: str = _row(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        kinds.protocol,
        "grpc, http/protobuf or http/json (OpenTelemetry's names).",
        "http/protobuf",
    )
    metrics_protocol: str | None = _row(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", kinds.protocol, "As OTEL_EXPORTER_OTLP_PROTOCOL, for metrics.", None
    )
    sdk_disabled: bool = _row("OTEL_SDK_DISABLED", kinds.otel_bool, "`true` switches everything off.", False)
    store: str | None = None
    """The object store that has the lake, of which ``data`` is what this machine brings there; no row of the table."""
    remote: bool = False
    """Whether this is a remote task of Metaflow's; no row of the table."""
    exporter_digest: str = ""
    """Of headers, certificates and whatever else shapes an export; no row of the table."""


class Settings(_Table):
    """What stepsize was told. Each field is a row of the table: its environment variable, parser and meaning.

    Fields are given by name; those that are not have their row's default.
    """

    __slots__ = ()

    def __new__(cls, **values: Any) -> Settings:  # noqa: PYI034 - `typing.Self` is younger than Python 3.10
        """Settings of these values.

        Raises:
            TypeError: there is no such setting.
        """
        if not values.keys() <= cls._field_defaults.keys():
            raise TypeError(f"no settings: {', '.join(values.keys() - cls._field_defaults.keys())}")
        return cls._make(values[name] if name in values else _default(row) for name, row in cls._field_defaults.items())

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        """What `pickle` and `copy` make it anew from: names, as `__new__` takes them."""
        return (), self._asdict()

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        """Settings from ``arguments`` (``None`` means not given), then ``environ``, then the defaults.

        An argument that is text, as an option of a command is, is read as the variable would be.
        A value of an OpenTelemetry variable that is not understood counts as not set, as its specification asks.

        Raises:
            ConfigError: one of our own variables holds what its parser refuses; the message names it.
        """
        environ = os.environ if environ is None else environ
        values = {name: value for name, value in arguments.items() if value is not None}
        values.setdefault("exporter_digest", _exporter_digest(environ))
        values.setdefault("remote", bool(environ.get(_REMOTE_TASK)))
        cls._place_lake(values, environ)
        for name, row in _ROWS.items():
            given = values.get(name)
            text = given if isinstance(given, str) else environ.get(row.env)
            if text is None or (given is not None and not isinstance(given, str)):
                continue
            if text == "" and given is None and row.parse is not kinds.parse_bool:
                continue  # OpenTelemetry: an empty variable is one that is not set
            try:
                values[name] = row.parse(text)
            except ValueError as error:
                if given is None and row.env.startswith("OTEL_"):
                    continue
                from stepsize.errors import ConfigError  # noqa: PLC0415 - a task has no use for it as long as all is well

                raise ConfigError(f"{row.env}={text!r}: {error}") from None
        values.setdefault("datastore", metaflow_datastore(environ))
        return cls(**values)

    @staticmethod
    def _place_lake(values: dict[str, Any], environ: Mapping[str, str]) -> None:
        """Add to ``values`` what follows where the lake is in an object store."""
        given, state = (values.get(name, environ.get(_ROWS[name].env)) for name in ("data", "state"))
        if not isinstance(given, str) or not given.startswith(kinds.STORE):
            return
        try:
            values.update(_staged(given, kinds.path(state) if isinstance(state, str) and state else state or None))
        except ValueError as error:
            from stepsize.errors import ConfigError  # noqa: PLC0415 - as in `load`

            raise ConfigError(f"STEPSIZE_DATA={given!r}: {error}") from None

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` for a process that is to load these same settings, whatever ``environ`` said of them."""
        rows = {row.env: getattr(self, name) for name, row in _ROWS.items()}
        rows[_ROWS["data"].env] = self.lake
        kept = {name: text for name, text in environ.items() if name not in rows}
        return kept | {name: _text(value) for name, value in rows.items() if value is not None}

    @property
    def lake(self) -> str:
        """The lake as ``STEPSIZE_DATA`` names it."""
        return self.store or str(self.data)

    def here(self, what: str) -> Path:
        """The lake's directory, for what works on one of this machine alone.

        Raises:
            ConfigError: the lake is in an object store; ``what`` is what was asked for.
        """
        if self.store is None:
            return self.data
        from stepsize.errors import ConfigError  # noqa: PLC0415 - as in `load`

        raise ConfigError(
            f"STEPSIZE_DATA={self.store!r}: {what} takes a local lake; what this machine brings there is in {self.data}"
        )

    @property
    def state_dir(self) -> Path:
        """Where this machine's collector keeps its write-ahead log."""
        return self.state or self.data / "wal"

    @property
    def spool_dir(self) -> Path:
        """Where points wait that nobody takes: it outlives the agent and the machine's next start."""
        return self.spool or self.data / "spool"

    @property
    def destination(self) -> str:
        """Where points go: an endpoint and whose credentials they carry, or the data directory.

        Two agents never serve the same one, and nobody's points go out with somebody else's headers.
        """
        endpoint = self.metrics_endpoint or self.endpoint
        if not endpoint:
            return f"datastore {self.datastore}" if self.uses_datastore else f"data {self.data.absolute()}"
        return f"{self.metrics_protocol_in_use} {endpoint} {self.exporter_digest}"

    @property
    def metrics_protocol_in_use(self) -> str:
        """The protocol of the metrics signal, whose own goes before the general one."""
        return self.metrics_protocol or self.protocol

    @property
    def uses_datastore(self) -> bool:
        """Whether points are left in a datastore: those of a task whose machine ends with it, without an endpoint."""
        return not self.has_endpoint and self.remote and self.datastore not in (None, "off")

    @property
    def has_endpoint(self) -> bool:
        """Whether points leave for an OTLP endpoint rather than for the data directory's own collector."""
        return bool(self.metrics_endpoint or self.endpoint)


_ROWS: dict[str, _Row] = {name: row for name, row in Settings._field_defaults.items() if isinstance(row, _Row)}
"""The table: rows by the names of their fields."""
_REMOTE_TASK = "MF_PATHSPEC"
"""Set in Metaflow's pods and Batch jobs alone (metaflow/mflog/__init__.py, BASH_MFLOG)."""


def metaflow_datastore(configuration: Mapping[str, str]) -> str | None:
    """The datastore that Metaflow's configuration names: its file, or the variables that its remote tasks are given."""
    kind = configuration.get("METAFLOW_DEFAULT_DATASTORE", "")
    root = configuration.get(f"METAFLOW_DATASTORE_SYSROOT_{kind.upper()}", "")
    return f"{kind}:{root}" if kind in kinds.DATASTORES and kind != "local" and root else None


def _default(row: Any) -> Any:
    value = row.default if isinstance(row, _Row) else row
    return value() if callable(value) else value


def travelling(environ: Mapping[str, str]) -> dict[str, str]:
    """What ``environ`` says of the settings that hold on another machine too, as it says it."""
    names = (row.env for row in _ROWS.values() if row.travels)
    return {name: environ[name] for name in names if environ.get(name)}


def _exporter_digest(environ: Mapping[str, str]) -> str:
    """Of the exporters' variables that are no rows of the table: headers, certificates, compression, timeouts."""
    names = {name for name in environ if name.startswith(_EXPORTER_PREFIX)}  # most environments have none
    if names:
        names.difference_update(row.env for row in _ROWS.values())
    shaping = sorted((name, environ[name]) for name in names if environ[name])
    if not shaping:
        return ""
    import hashlib  # noqa: PLC0415 - as the module says

    return hashlib.sha256(repr(shaping).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def table() -> list[tuple[str, str, str]]:
    """Every setting as (environment variable, default, meaning), for the documentation."""
    defaults = Settings()
    rows = []
    for name, row in _ROWS.items():
        value = getattr(defaults, name)
        text = "" if value is None else _text(value)
        rows.append((row.env, text.replace(str(Path.home()), "~"), row.meaning))
    return rows
