"""What of a launcher's settings goes with a task to another machine, and what is said about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.carried import carried, has_endpoint

ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
SECRET = "hunter2"
SECRETS = st.fixed_dictionaries(
    {},
    optional={
        f"OTEL_EXPORTER_OTLP_{signal}{name}": st.just(value)
        for signal in ("", "METRICS_", "TRACES_")
        for name, value in (("HEADERS", f"a={SECRET}"), ("CLIENT_KEY", f"/{SECRET}"), ("CLIENT_CERTIFICATE", SECRET))
    }
    | {"AWS_SECRET_ACCESS_KEY": st.just(SECRET), "STEPSIZE_TOKEN": st.just(SECRET)},
)
ENDPOINTS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "http://", "https://", "HTTPS://"]),
    st.sampled_from(["", f"{SECRET}@", f"me:{SECRET}@", f"a@b:{SECRET}@"]),
    st.sampled_from(["collector", "collector:4318", "10.0.0.7:4317", "[2001:db8::1]:4318"]),
    st.sampled_from(["", "/", "/v1/metrics", f"?key={SECRET}", f"/v1?key={SECRET}#x", f"#{SECRET}"]),
)


@given(SECRETS, st.dictionaries(st.sampled_from([ENDPOINT, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]), ENDPOINTS))
def test_no_secret_ever_goes_or_is_said(secrets: dict[str, str], endpoints: dict[str, str]) -> None:
    """Whatever is set: neither a variable nor a line holds a header, a key, or credentials of a URL."""
    made = carried({**secrets, **endpoints}, {}, has_secrets=False)
    assert SECRET not in repr(made)
    assert made.variables.keys() == {name for name, text in endpoints.items() if text}


@pytest.mark.parametrize(
    ("given_", "goes"),
    [
        ("https://collector:4318", "https://collector:4318"),
        ("collector:4317", "collector:4317"),
        ("http://me:pw@collector:4318/path", "http://collector:4318/path"),
        ("me:pw@collector:4317", "collector:4317"),
        ("https://collector/?key=1", "https://collector/"),
        ("http://localhost:4318", None),
        ("localhost:4317", None),
        ("http://127.0.0.1:4318", None),
        ("http://[::1]:4318", None),
        ("http://0.0.0.0:4318", None),
        ("http://[::1", None),
    ],
)
def test_an_endpoint_goes_as_another_machine_may_have_it(given_: str, goes: str | None) -> None:
    """Without what may be a secret, and not at all where it is this machine; whoever launches is told of both."""
    made = carried({ENDPOINT: given_}, {}, has_secrets=False)
    assert made.variables.get(ENDPOINT) == goes
    assert bool(made.notes) == (goes != given_)
    assert has_endpoint(made.variables) == (goes is not None)


def test_what_the_user_gives_the_task_wins_and_is_not_talked_about() -> None:
    """A loopback address in a task's own variables is a collector beside it."""
    own = {ENDPOINT: "http://localhost:4318", "STEPSIZE_INTERVAL": "5"}
    launcher = {ENDPOINT: "http://localhost:9", "STEPSIZE_INTERVAL": "1", "STEPSIZE": "1"}
    made = carried(launcher, own, has_secrets=False)
    assert made.variables == {"STEPSIZE": "1"}
    assert made.notes == ()


def test_settings_go_and_what_belongs_to_this_machine_stays() -> None:
    """Rows of the settings' table but paths and names; of OpenTelemetry's what shapes an export and names a service."""
    goes = {
        "STEPSIZE": "1",
        "STEPSIZE_INTERVAL": "0.5",
        "STEPSIZE_POINT_ATTRIBUTES": "1",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "3",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a b,x=y",
    }
    stays = {
        "STEPSIZE_DATA": "/lake",
        "STEPSIZE_STATE": "/state",
        "STEPSIZE_RUNTIME": "/run",
        "STEPSIZE_SPOOL": "/spool",
        "STEPSIZE_CLOUD_METADATA": "http://127.0.0.1:9",
        "STEPSIZE_FLOW": "Flow",
        "STEPSIZE_RUN": "1",
        "STEPSIZE_TASK": "2",
        "STEPSIZE_PYTHON": "/usr/bin/python",
        "HOME": "/root",
    }
    assert carried({**goes, **stays, "STEPSIZE_EXPORT_INTERVAL": ""}, {}, has_secrets=False).variables == goes


def test_what_secrets_may_bring_is_not_asked_for() -> None:
    """Where the platform gives a task variables out of secrets, headers and certificates that stay are no news."""
    launcher = {HEADERS: "a=b", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem"}
    assert len(carried(launcher, {}, has_secrets=False).notes) == 2
    assert carried(launcher, {}, has_secrets=True).notes == ()


def test_steps_with_nowhere_to_send_to_are_talked_about() -> None:
    """Neither an endpoint nor the flow's datastore; secrets may bring one."""
    nowhere = {"STEPSIZE_DATASTORE": "off"}
    (note,) = carried(nowhere, {}, has_secrets=False).notes
    assert "nowhere to send" in note
    assert len(carried({**nowhere, ENDPOINT: "http://localhost:4318"}, {}, has_secrets=False).notes) == 2
    assert carried({**nowhere, ENDPOINT: "http://collector"}, {}, has_secrets=False).notes == ()
    assert carried(nowhere, {}, has_secrets=True).notes == ()
    assert carried({}, {}, has_secrets=False).notes == ()


def test_a_directory_as_datastore_stays_and_is_talked_about() -> None:
    """A remote step has another one of that name, if any; where an endpoint takes its points, none matters."""
    launcher = {"STEPSIZE_DATASTORE": "local:/points"}
    made = carried(launcher, {}, has_secrets=False)
    assert made.variables == {}
    (note,) = made.notes
    assert note.startswith("STEPSIZE_DATASTORE=local:/points ")
    assert carried(launcher, launcher, has_secrets=False).notes == ()
    sent = carried({**launcher, ENDPOINT: "http://collector"}, {}, has_secrets=False)
    assert (sent.variables, sent.notes) == ({ENDPOINT: "http://collector"}, ())
    bucket = {"STEPSIZE_DATASTORE": "s3:s3://bucket/points"}
    assert carried(bucket, {}, has_secrets=False).variables == bucket


def test_grpc_is_said_to_need_its_package() -> None:
    """The standard library speaks no gRPC, and a remote step may have nothing else."""
    launcher = {ENDPOINT: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    (note,) = carried(launcher, {}, has_secrets=False).notes
    assert "opentelemetry-exporter-otlp" in note
    assert carried({**launcher, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"}, {}, has_secrets=False).notes == ()
