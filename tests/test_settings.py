"""The settings table: argument over environment over default."""

from __future__ import annotations

import copy
import pickle
import pwd
from pathlib import Path

import pytest

from stepsize.errors import ConfigError
from stepsize.settings import Settings, table


def test_argument_wins_over_environment_and_environment_over_default() -> None:
    """The three layers in their order."""
    environ = {"STEPSIZE_INTERVAL": "2"}
    assert Settings.load({}).interval_s == 1
    assert Settings.load(environ).interval_s == 2
    assert Settings.load(environ, interval_s=3.0).interval_s == 3
    assert Settings.load(environ, interval_s=None).interval_s == 2


def test_an_argument_that_is_text_is_read_as_the_variable_would_be(tmp_path: Path) -> None:
    """So that an option of a command takes what the variable takes, and refuses what it refuses."""
    assert Settings.load({}, data=str(tmp_path)).data == Settings.load({}, data=tmp_path).data == tmp_path
    for text in ("gs://bucket/lake", ""):
        with pytest.raises(ConfigError, match="STEPSIZE_DATA"):
            Settings.load({"STEPSIZE_DATA": str(tmp_path)}, data=text)


def test_a_lake_in_an_object_store_has_one_here_to_be_brought_there(tmp_path: Path) -> None:
    """In the state directory, one for each store; other processes find the same, wherever their home is by then."""
    environ = {"STEPSIZE_DATA": "s3://bucket/team/lake/"}
    settings, other = Settings.load(environ), Settings.load({"STEPSIZE_DATA": "s3://bucket/other"}, state=tmp_path)
    assert (settings.store, settings.lake) == ("s3://bucket/team/lake", "s3://bucket/team/lake")
    assert Path("~/.stepsize/stores").expanduser() in settings.data.parents
    assert settings.data.parent == settings.state_dir
    assert (other.data.parent, other.state_dir) == (tmp_path, tmp_path)
    assert other.data.name != Settings.load(environ, state=tmp_path).data.name
    child = settings.environment({"HOME": str(tmp_path)})
    assert Settings.load(child) == settings
    assert Settings.load({}, data=str(tmp_path)).lake == str(tmp_path)


def test_what_takes_a_local_lake_says_so(tmp_path: Path) -> None:
    """And where what this machine brings to the store lies."""
    assert Settings.load({}, data=tmp_path).here("erase") == tmp_path
    settings = Settings.load({}, data="s3://bucket/lake", state=tmp_path)
    with pytest.raises(ConfigError, match=f"erase takes a local lake.*{tmp_path}"):
        settings.here("erase")


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    """As OpenTelemetry's specification asks."""
    settings = Settings.load({"OTEL_EXPORTER_OTLP_ENDPOINT": "", "STEPSIZE_INTERVAL": "", "STEPSIZE": ""})
    assert (settings.endpoint, settings.interval_s, settings.enabled) == (None, 1, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("STEPSIZE", "perhaps"),
        ("STEPSIZE_INTERVAL", "0"),
        ("STEPSIZE_INTERVAL", "soon"),
        ("STEPSIZE_DATA", "gs://bucket/lake"),
        ("STEPSIZE_DATA", "s3://"),
        ("STEPSIZE_DATA", "s3://bucket/../lake"),
    ],
)
def test_a_wrong_value_is_refused_by_the_variables_name(name: str, text: str) -> None:
    """The one line names the variable and what it held."""
    with pytest.raises(ConfigError, match=f"{name}='{text}': ") as refused:
        Settings.load({name: text})
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "text", "field", "expected"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke", "protocol", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "protocol", "http/json"),
        ("OTEL_SDK_DISABLED", "TRUE", "sdk_disabled", True),
        ("OTEL_SDK_DISABLED", "1", "sdk_disabled", False),
        ("OTEL_SDK_DISABLED", "maybe", "sdk_disabled", False),
    ],
)
def test_opentelemetrys_variables_mean_what_it_says(name: str, text: str, field: str, expected: object) -> None:
    """What is not understood counts as not set; only `true` is true."""
    assert getattr(Settings.load({name: text}), field) == expected


def test_settings_travel_through_an_environment(tmp_path: Path) -> None:
    """A process that is started with it loads the same, whatever the environment said before."""
    settings = Settings.load({"STEPSIZE_INTERVAL": "2", "OTHER": "x"}, data=tmp_path, enabled=True)
    environment = settings.environment({"STEPSIZE_INTERVAL": "7", "STEPSIZE_AGENT_IDLE": "9", "OTHER": "x"})
    assert environment["OTHER"] == "x"
    assert Settings.load(environment) == settings


def test_a_destination_tells_endpoints_protocols_and_data_directories_apart(tmp_path: Path) -> None:
    """Two agents serve the same destination only where every point may go to the same place."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    settings = [
        Settings.load({"STEPSIZE_DATA": str(tmp_path / "a")}),
        Settings.load({"STEPSIZE_DATA": str(tmp_path / "b")}),
        Settings.load(endpoint),
        Settings.load({**endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
        Settings.load({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}),
    ]
    assert len({one.destination for one in settings}) == len(settings)
    assert [one.has_endpoint for one in settings] == [False, False, True, True, True]


def test_the_state_directory_follows_the_data_directory(tmp_path: Path) -> None:
    """STEPSIZE_STATE moves it away, for lakes on shared storage."""
    assert Settings.load({"STEPSIZE_DATA": str(tmp_path)}).state_dir == tmp_path / "wal"
    assert Settings.load({"STEPSIZE_STATE": str(tmp_path / "s")}).state_dir == tmp_path / "s"


def test_every_setting_has_a_row_with_a_meaning() -> None:
    """The table is the documentation."""
    assert all(name and meaning for name, _, meaning in table())


def test_who_has_no_home_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have neither HOME nor an account: what we cannot know must not end the user's program."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert Settings.load({}).data == Path("/.stepsize")
    with pytest.raises(ConfigError, match="STEPSIZE_SPOOL"):
        Settings.load({"STEPSIZE_SPOOL": "~/spool"})


def test_settings_can_be_copied_and_are_told_by_name_alone(tmp_path: Path) -> None:
    """A copy, also one that went through another process, is the same; what is no setting is refused."""
    settings = Settings(data=tmp_path, interval_s=2.0)
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    assert settings._replace(interval_s=1.0) == Settings(data=tmp_path)
    with pytest.raises(TypeError, match="intervals"):
        Settings(intervals=2.0)
    with pytest.raises(TypeError):
        Settings(tmp_path)  # type: ignore[call-arg] # what it is about
