"""Every command of psql that asks the catalogue."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.postgres.places import Served

pytestmark = pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")

LISTS = (
    *(r"\d", r"\d+", r"\dS+", r"\dt", r"\dt+", r"\dt *.*", r"\dv", r"\dv+", r"\di", r"\di+", r"\ds", r"\dm", r"\dE"),
    *(r"\d tasks", r"\d+ tasks", r"\d public.tasks", r'\d "tasks"', r"\d t*", r"\l", r"\l+", r"\dn", r"\dn+", r"\df"),
    *(
        r"\df+",
        r"\da",
        r"\du",
        r"\du+",
        r"\dg",
        r"\drds",
        r"\dT",
        r"\dT+",
        r"\dC",
        r"\dD",
        r"\dO",
        r"\dx",
        r"\dx+",
        r"\dy",
    ),
    *(r"\dp", r"\z", r"\ddp", r"\db", r"\db+", r"\dc", r"\dd", r"\des", r"\dew", r"\det", r"\deu", r"\dF", r"\dFd"),
    *(r"\dFp", r"\dFt", r"\dL", r"\dl", r"\do", r"\dP", r"\dRp", r"\dRp+", r"\dRs", r"\dX", r"\dA", r"\dA+", r"\dAc"),
    *(r"\dAf", r"\dx+", r"\dconfig", r"\conninfo", r"\encoding", r"\x on"),
)


def psql(served: Served, *commands: str) -> subprocess.CompletedProcess[str]:
    """What it says to these, each after the other, errors or not."""
    options = ["-X", "-A", "-v", "ON_ERROR_STOP=0", "-d", served.conninfo]
    given = [word for command in commands for word in ("-c", command)]
    return subprocess.run(["psql", *options, *given], capture_output=True, text=True, timeout=60, check=False)


def test_no_list_fails(served: Served) -> None:
    """Also those of what a lake has none of; "did not find" is an answer."""
    said = psql(served, *LISTS).stderr
    assert not [line for line in said.splitlines() if not line.startswith("Did not find any")], said


def test_views_and_their_columns(served: Served) -> None:
    """Listed as views of `public` that whoever is let in may read, each column with Postgres's name of its type."""
    listed = psql(served, r"\dv", r"\dp tasks").stdout
    assert "public|tasks|view|stepsize" in listed
    assert "public|tasks|view|=r/stepsize" in listed
    described = psql(served, r"\d tasks").stdout
    for line in (
        'View "public.tasks"',
        "flow|text|||",
        "cpu_seconds|double precision|||",
        "started_at|timestamp with time zone|||",
        "annotations|json|||",
    ):
        assert line in described, described


def test_what_is_not_there_is_said_so(served: Served) -> None:
    """As Postgres would say it."""
    assert 'Did not find any relation named "nothing_here".' in psql(served, r"\d nothing_here").stderr
