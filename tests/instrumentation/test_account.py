"""Whose points an endpoint gets: the same for a key and its successor, another for each tenant."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.agent.account import CREDENTIAL_HEADERS, Account, account_of
from stepsize.settings import Settings

URL = "https://collector.example:4318"


def _account(endpoint: str = URL, headers: str = "", **more: str) -> Account:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers, **more}
    return account_of(Settings.load(environ, data=Path("/data")), environ)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@given(
    st.sampled_from(sorted(CREDENTIAL_HEADERS)),
    st.lists(st.text("abcXYZ019-._~", max_size=20), min_size=2, max_size=2),
)
def test_a_new_key_is_for_the_same_account(header: str, keys: list[str]) -> None:
    """A renewed token is, and so is one where there was none."""
    old, new = (_account(headers=f"{header}=Bearer%20{key}") for key in keys)
    assert old == new == _account()


@pytest.mark.parametrize(
    "headers",
    ["X-Scope-OrgID=b", "x-scope-orgid=a,x-more=1", "dd-api-key=b", "", f"authorization={_basic('b', 'x')}"],
)
def test_another_tenant_is_another_account(headers: str) -> None:
    """Whatever may name one tells them apart: a header that proves nothing, the user of a login."""
    assert _account(headers="X-Scope-OrgID=a").digest != _account(headers=headers).digest


def test_a_login_is_its_user() -> None:
    """In a header or in the URL; a password that was changed changes nothing."""
    one = _account(headers=f"Authorization={_basic('ann', '1')}")
    assert one.digest == _account(headers=f"authorization={_basic('ann', '2')}").digest
    assert one.digest == _account("https://ann:3@collector.example:4318").digest
    assert one.digest != _account(headers=f"authorization={_basic('bob', '1')}").digest


def test_how_points_travel_makes_no_account() -> None:
    """Protocol, timeout, compression and the server's certificate may change while points wait; ours may not."""
    how = {"PROTOCOL": "http/json", "TIMEOUT": "3", "COMPRESSION": "gzip", "CERTIFICATE": "/ca.pem"}
    changed = {f"OTEL_EXPORTER_OTLP_{name}": text for name, text in how.items()}
    assert _account(**changed) == _account()
    assert _account(OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE="/me.pem").digest != _account().digest


def test_the_metrics_own_variables_go_first() -> None:
    """As for the exporters; an endpoint that is said in full is the same place."""
    full = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{URL}/v1/metrics", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "t=1"}
    assert _account("http://elsewhere", "t=2", **full).digest == _account(headers="t=1").digest


@pytest.mark.parametrize("settings", [{"data": Path("/a")}, {"data": Path("/b")}, {"endpoint": "http://a"}])
def test_places_are_told_apart(settings: dict) -> None:
    """Data directories, and each from any endpoint."""
    others = [Settings(data=Path("/c")), Settings(endpoint="http://c"), Settings(datastore="s3:s3://x", remote=True)]
    digests = {account_of(each, {}).digest for each in [Settings(**settings), *others]}
    assert len(digests) == 4


def test_it_tells_no_secret() -> None:
    """Of a header its name, of a URL what leads to the place."""
    found = _account("https://ann:5ecret@h:1/p?key=5ecret", "x-tenant=5ecret,authorization=Bearer%205ecret")
    assert found.destination == "https://h:1/p"
    assert found.headers == ("x-tenant",)
    assert "5ecret" not in json.dumps([found.destination, found.headers, found.digest])
