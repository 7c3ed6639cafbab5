"""The queries through Go's lib/pq and pgx, the drivers that Grafana's data source has had and has."""

from __future__ import annotations

import pytest

from tests.grafana.boards import BOARDS, RULES, panels, variables
from tests.grafana.test_queries import chosen, window
from tests.interop.peers import GO_POSTGRES
from tests.postgres.clients.test_go import ask
from tests.postgres.places import Served

pytestmark = [pytest.mark.peers, pytest.mark.needs(GO_POSTGRES)]


@pytest.mark.parametrize("driver", ["pq", "wire"])
def test_drivers_read_every_query(endpoint: Served, driver: str) -> None:
    """Neither driver fails on a panel's, a variable's or a rule's query, and each reads rows."""
    queries = {
        panel.name: window(BOARDS[panel.board]).expand(panel.target["rawSql"], chosen(BOARDS[panel.board]))
        for panel in panels()
    }
    for uid, board in BOARDS.items():
        for one in variables(board):
            queries[f"{uid}: {one['name']}"] = window(board).expand(one["query"], chosen(board))
    queries |= {rule["uid"]: rule["data"][0]["model"]["rawSql"].replace("$$", "$") for rule in RULES}
    answers = ask(endpoint, driver, *((query, []) for query in queries.values()))
    assert len(answers) == len(queries)
    assert [(name, one.error) for name, one in zip(queries, answers, strict=True) if one.error or not one.rows] == []
