"""Answers as text, as `stepsize sql QUERY` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stepsize.postgres.answer import answer
from stepsize.postgres.engine import Engine
from stepsize.postgres.errors import SqlError
from stepsize.postgres.instance import Limits
from stepsize.postgres.lake_views import LocalViews


@pytest.fixture(scope="module")
def engine(lake: Path) -> Iterator[Engine]:
    """Over a lake with thirty attempts."""
    made = Engine(LocalViews(lake), Limits())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("form", "query", "expected"),
    [
        ("table", "select count(*) n from tasks", " n\n30\n"),
        ("csv", "select 1 a, null b, 'x,y' c", 'a,b,c\n1,,"x,y"\n'),
        ("json", "select 1.5::double a, true b, [1, 2] c", '[\n  {"a": 1.5, "b": true, "c": [1,2]}\n]\n'),
        ("json", "select 1 a where false", "[]\n"),
        ("markdown", "select 'a|b' a, 1 b", "| a | b |\n| --- | ---: |\n| a\\|b | 1 |\n"),
    ],
)
def test_each_form(engine: Engine, form: str, query: str, expected: str) -> None:
    """Numbers to the right, what means something in a form escaped there."""
    assert "".join(answer(engine, query, form)) == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [("drop view tasks", "25006"), ("select $1", "42P02"), ("select 1; select 2", "42601"), ("begin", "0A000")],
)
def test_what_is_no_query_is_refused(engine: Engine, query: str, code: str) -> None:
    """By its SQLSTATE."""
    with pytest.raises(SqlError) as refused:
        "".join(answer(engine, query, "csv"))
    assert refused.value.code == code
