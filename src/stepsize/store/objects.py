"""A lake in an object store: what ``stepsize upload`` has left under ``s3://bucket/prefix``, read where it lies.

What comes in: an address. What goes out: connections with the views that a local lake has, over exactly the objects
that the manifests name. Never writes (that is :mod:`stepsize.store.upload`), and copies nothing here: queries fetch
the columns and row groups that they need. Region, credentials and endpoint come from AWS's own variables and files.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from stepsize.errors import LakeError, UsageError
from stepsize.setting_values import STORE, store_address
from stepsize.store.bounds import bound, quiet_connection
from stepsize.store.database import statements_over
from stepsize.store.layout import MANIFESTS, SCHEMA_FILE, parse_version
from stepsize.store.manifest import parse_manifest
from stepsize.store.schema import POINT_TABLES, SCHEMAS, TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepsize.store.manifest import Manifest, StoredFile

_DAY = pa.schema([("day", pa.date32())])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lake lies in an object store: ``prefix`` is "" or ends with a slash."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> Place:
        """The place that an address means.

        Raises:
            UsageError: it is no address of an object store that is known.
        """
        try:
            bucket, _, path = store_address(url).removeprefix(STORE).partition("/")
        except ValueError as error:
            raise UsageError(str(error)) from None
        return cls(bucket, f"{path}/" if path else "")

    def path(self, name: str = "") -> str:
        """Of an object as Arrow names it."""
        return f"{self.bucket}/{self.prefix}{name}"

    def __str__(self) -> str:
        return f"{STORE}{self.bucket}/{self.prefix}".rstrip("/")


def endpoint(environ: Mapping[str, str]) -> str | None:
    """Where the store listens, if not where Amazon's does: AWS's own variables, which Arrow does not read."""
    return environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True)
class Generation:
    """What a lake holds at one time.

    Attributes:
        rows: by the names that the views call them; to be registered with each connection that reads the views.
        statements: make the views, in an attached database called ``lake``.
    """

    rows: Mapping[str, ds.Dataset]
    statements: Sequence[str]


class ObjectLake:
    """The lake at ``url``; nothing is asked of the store before a method is called."""

    def __init__(self, url: str) -> None:
        self.place = Place.of(url)

    @contextlib.contextmanager
    def reading(self, memory_bytes: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection on the current generation, as `Lake.reading` gives it.

        Raises:
            LakeError: there is no lake, a newer stepsize wrote it, or the store cannot be read.
        """
        generation = self.generation()
        with self._told(), quiet_connection() as connection:
            bound(connection, memory_bytes)
            for name, rows in generation.rows.items():
                connection.register(name, rows)
            for statement in generation.statements:
                connection.execute(statement.replace("CREATE VIEW lake.", "CREATE TEMP VIEW "))
            yield connection

    def generation(self) -> Generation:
        """The current one, for whoever has connections of its own.

        Raises:
            LakeError: as for :meth:`reading`.
        """
        with self._told():
            store = self._store()
            manifests = self._manifests(store)
            names = {table: f"stored_{table}" for table in SCHEMAS}
            rows = {name: self._rows(table, _files_of(table, manifests), store) for table, name in names.items()}
            rolling_up = sum(any(one.table == "tasks" for one in manifest.files) for manifest in manifests)
            return Generation(rows, statements_over(names, set(TASKS.names), is_shared=rolling_up > 1))

    def _store(self) -> fs.FileSystem:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        address = endpoint(os.environ)
        if address is None and region is None:
            region = fs.resolve_s3_region(self.place.bucket)
        return fs.S3FileSystem(region=region, endpoint_override=address)

    def _manifests(self, store: fs.FileSystem) -> list[Manifest]:
        try:
            version = store.open_input_stream(self.place.path(SCHEMA_FILE)).read()
        except FileNotFoundError:
            raise LakeError(f"no data in {self.place}: stepsize upload brings a lake there") from None
        parse_version(version, str(self.place))
        directory = self.place.path(MANIFESTS)
        found = store.get_file_info(fs.FileSelector(directory, allow_not_found=True))
        names = sorted(one.base_name for one in found if one.base_name.endswith(".json"))
        return [
            parse_manifest(
                store.open_input_stream(f"{directory}/{name}").read(),
                name.removesuffix(".json"),
                f"{self.place}/{MANIFESTS}/{name}",
            )
            for name in names
        ]

    def stored(self, table: str) -> tuple[tuple[StoredFile, ...], ds.Dataset]:
        """The files of a table that the manifests name now, and their rows.

        Raises:
            LakeError: as for :meth:`reading`.
        """
        with self._told():
            store = self._store()
            files = _files_of(table, self._manifests(store))
            return files, self._rows(table, files, store)

    def _rows(self, table: str, files: tuple[StoredFile, ...], store: fs.FileSystem) -> ds.Dataset:
        """The rows in ``files``, to be read when they are asked for; columns that files lack are NULL."""
        is_by_day = table in POINT_TABLES
        schema = pa.unify_schemas([SCHEMAS[table], _DAY]) if is_by_day else SCHEMAS[table]
        if not files:
            return ds.dataset(schema.empty_table())
        partitioning = ds.partitioning(_DAY, flavor="hive") if is_by_day else None
        paths = [self.place.path(one.path) for one in files]
        return ds.dataset(paths, schema=schema, filesystem=store, format="parquet", partitioning=partitioning)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, duckdb.IOException, duckdb.InvalidInputException, pa.ArrowException) as error:
            raise LakeError(f"cannot read {self.place}: {str(error).splitlines()[0]}") from None


def _files_of(table: str, manifests: list[Manifest]) -> tuple[StoredFile, ...]:
    return tuple(one for manifest in manifests for one in manifest.files if one.table == table)
