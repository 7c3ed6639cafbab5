"""The PostgreSQL JDBC driver, as tools written in Java ask through it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.interop.peers import HERE, JDBC
from tests.postgres.places import Served

pytestmark = [pytest.mark.peers, pytest.mark.needs(JDBC)]

ROW = '2 0 2026-11-01T01:00:00Z 102.0 1000000002 x {"rows": 2}'
EXPECTED = {
    "version": "16.4",
    "valid": "true",
    "catalogs": "1",
    "schemas": "3",
    "tables": "1 tasks VIEW ",
    "primary keys": "0",
    "indexes": "0",
    "imported keys": "0",
    "exported keys": "0",
    "cross reference": "0",
    "best row": "0",
    "own types": "0",
    "functions": "176 any_in null any_in_2401",
    "procedures": "0",
    "privileges": "1 tasks stepsize SELECT",
    "keywords": "true",
    "longest name": "63",
    "schema": "public",
    "prepared 0": ROW,
    "prepared 1": ROW,
    "prepared 3": ROW,
    "prepared -1": ROW,
    "fetched": "5000",
    "scrolled": "30",
    "columns of a result": "flow text java.lang.String",
    "savepoint": "1",
    "timeout": "57014",
    "write": "25006",
}


@pytest.mark.parametrize("options", ["", "?preferQueryMode=simple", "?prepareThreshold=1&binaryTransfer=true"])
def test_what_tools_ask(served: Served, tmp_path: Path, options: str) -> None:
    """Metadata without an error, the same rows however a statement is prepared, cursors, a timeout, no write."""
    url = f"jdbc:postgresql://127.0.0.1:{served.port}/stepsize{options}"
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", str(JDBC.path), str(HERE / "jdbc/Clients.java"), url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    got = dict(line.split("\t", 1) for line in ran.stdout.splitlines())
    assert got.pop("arrays").startswith("20 ")
    assert not {name: said for name, said in got.items() if said.startswith("!!")}
    assert {name: got[name] for name in EXPECTED} == EXPECTED
    assert got["columns"].split()[1:3] == ["tasks", "flow"]
    assert int(got["types"].split()[0]) > 20
