"""What ``SET`` and ``SHOW`` know: settings of a connection, as Postgres names them.

What comes in: names and values that clients give. What goes out: what holds, or a :class:`SqlError`. What would change
how values look, and cannot be changed here, is refused; what changes nothing here is taken and shown again. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.postgres.errors import FatalError, SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SERVER_VERSION = "16.4"
"""The version of Postgres whose behaviour is followed, as clients ask for it."""

_UTC = frozenset(
    {"utc", "gmt", "etc/utc", "etc/gmt", "zulu", "etc/zulu", "universal", "z", "0", "+00", "+00:00", "default"}
)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|)\s*")
_MS = {"": 1.0, "us": 0.001, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}


@dataclass(frozen=True, slots=True)
class _Row:
    """A setting: what holds at first, whether clients are told when it changes, what it may be."""

    default: str
    is_reported: bool = False
    check: Callable[[str], str] | None = None


def _one_of(*allowed: str, said: str = "") -> Callable[[str], str]:
    def check(value: str) -> str:
        if value.strip().lower() not in allowed:
            raise ValueError(said or f"only {allowed[0]} is supported")
        return value

    return check


def _encoding(value: str) -> str:
    if value.strip(" '").lower().replace("-", "").replace("_", "") not in {"utf8", "unicode", "sqlascii", "auto"}:
        raise ValueError("only UTF8 is supported")
    return "UTF8"


def _zone(value: str) -> str:
    if value.strip().lower() not in _UTC:
        raise ValueError("times are in UTC here; convert them with AT TIME ZONE")
    return "UTC"


def _style(value: str) -> str:
    if not value.strip().lower().startswith("iso"):
        raise ValueError("only ISO is supported")
    return "ISO, MDY"


def _timeout(value: str) -> str:
    milliseconds(value)
    return value


def _fixed(value: str) -> str:
    raise ValueError(f"it cannot be changed to {value!r}")


def milliseconds(value: str) -> float:
    """A duration as settings have it: ``500``, ``2s``, ``1min``.

    Raises:
        ValueError: it is none.
    """
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError("a number with us, ms, s, min, h or d is expected")
    return float(found[1]) * _MS[found[2]]


_ROWS: Mapping[str, _Row] = {
    "application_name": _Row("", is_reported=True),
    "client_encoding": _Row("UTF8", is_reported=True, check=_encoding),
    "DateStyle": _Row("ISO, MDY", is_reported=True, check=_style),
    "default_transaction_read_only": _Row("on", is_reported=True, check=lambda _: "on"),
    "in_hot_standby": _Row("off", is_reported=True, check=_fixed),
    "integer_datetimes": _Row("on", is_reported=True, check=_fixed),
    "IntervalStyle": _Row("postgres", is_reported=True, check=_one_of("postgres")),
    "is_superuser": _Row("off", is_reported=True, check=_fixed),
    "server_encoding": _Row("UTF8", is_reported=True, check=_fixed),
    "server_version": _Row(SERVER_VERSION, is_reported=True, check=_fixed),
    "session_authorization": _Row("", is_reported=True, check=_fixed),
    "standard_conforming_strings": _Row("on", is_reported=True, check=_one_of("on", "true", "1")),
    "TimeZone": _Row("UTC", is_reported=True, check=_zone),
    "backslash_quote": _Row("safe_encoding"),
    "block_size": _Row("8192", check=_fixed),
    "bytea_output": _Row("hex", check=_one_of("hex")),
    "client_min_messages": _Row("notice"),
    "default_transaction_deferrable": _Row("off"),
    "default_transaction_isolation": _Row("read committed"),
    "enable_seqscan": _Row("on"),
    "escape_string_warning": _Row("on"),
    "extra_float_digits": _Row("1"),
    "geqo": _Row("on"),
    "idle_in_transaction_session_timeout": _Row("0", check=_timeout),
    "idle_session_timeout": _Row("0", check=_timeout),
    "jit": _Row("off"),
    "lc_collate": _Row("C.UTF-8", check=_fixed),
    "lc_ctype": _Row("C.UTF-8", check=_fixed),
    "lc_messages": _Row("C"),
    "lc_monetary": _Row("C"),
    "lc_numeric": _Row("C"),
    "lc_time": _Row("C"),
    "lock_timeout": _Row("0", check=_timeout),
    "log_statement": _Row("none"),
    "max_identifier_length": _Row("63", check=_fixed),
    "max_index_keys": _Row("32", check=_fixed),
    "max_parallel_workers_per_gather": _Row("2"),
    "role": _Row("none"),
    "row_security": _Row("on"),
    "search_path": _Row('"$user", public'),
    "server_version_num": _Row("160004", check=_fixed),
    "session_replication_role": _Row("origin"),
    "statement_timeout": _Row("0", check=_timeout),
    "synchronize_seqscans": _Row("on"),
    "synchronous_commit": _Row("on"),
    "transaction_deferrable": _Row("off"),
    "transaction_isolation": _Row("read committed"),
    "transaction_read_only": _Row("on", check=lambda _: "on"),
    "transaction_timeout": _Row("0", check=_timeout),
    "wal_level": _Row("replica", check=_fixed),
    "work_mem": _Row("4MB"),
    "xmlbinary": _Row("base64"),
    "xmloption": _Row("content"),
}
_NAMES = {name.lower(): name for name in _ROWS}
_MOST_OWN = 100
_LONGEST = 10_000


class SessionSettings:
    """The settings of one connection, begun from what it said at its start; what is not known of that is left aside."""

    def __init__(self, user: str, said: Mapping[str, str]) -> None:
        self._begun = {name.lower(): row.default for name, row in _ROWS.items()}
        self._begun["session_authorization"] = user
        self._values: dict[str, str] = {}
        for name, value in said.items():
            if (row := _ROWS.get(_NAMES.get(name.lower(), ""))) is None:
                continue
            try:
                self._begun[name.lower()] = row.check(value) if row.check else value
            except ValueError:
                if name.lower() == "client_encoding":
                    raise FatalError("22023", f'invalid value for parameter "client_encoding": "{value}"') from None

    def get(self, name: str) -> str | None:
        """The value that holds; None where there is no such setting."""
        key = name.lower()
        return self._values.get(key, self._begun.get(key))

    def all(self) -> dict[str, str]:
        """Every setting, by names in lower case."""
        return {**self._begun, **self._values}

    def shown(self) -> Iterator[tuple[str, str]]:
        """Every setting as ``SHOW ALL`` has it."""
        for key, value in sorted(self.all().items()):
            yield _NAMES.get(key, key), value

    def reported(self) -> dict[str, str]:
        """What clients are told unasked."""
        values = self.all()
        return {name: values[name.lower()] for name, row in _ROWS.items() if row.is_reported}

    def set(self, name: str, value: str | None) -> None:
        """Change a setting, to what it was at first with None.

        Raises:
            SqlError: there is none of this name, or it cannot have this value.
        """
        key = name.lower()
        row = _ROWS.get(_NAMES.get(key, ""))
        if row is None and "." not in key:
            raise SqlError("42704", f'unrecognized configuration parameter "{name}"')
        if value is None:
            self._values.pop(key, None)
            return
        if len(value) > _LONGEST:
            raise SqlError("22023", f'the value of "{name}" is longer than {_LONGEST} characters')
        if row is None and len(self._values) > _MOST_OWN:
            raise SqlError("54000", "too many settings")
        try:
            self._values[key] = row.check(value) if row is not None and row.check else value
        except ValueError as error:
            code = "55P02" if row is not None and row.check is _fixed else "22023"
            raise SqlError(code, f'invalid value for parameter "{name}": "{value}"', hint=str(error)) from None

    def reset(self) -> None:
        """Everything as it was at first."""
        self._values.clear()

    def snapshot(self) -> dict[str, str]:
        """What has been changed so far, for :meth:`restore`."""
        return dict(self._values)

    def restore(self, snapshot: Mapping[str, str]) -> None:
        """As it was then."""
        self._values = dict(snapshot)
