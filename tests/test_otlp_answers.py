"""What answers to an OTLP request mean, whoever sent it."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from stepsize.otlp_answers import (
    MAX_RETRY_AFTER_S,
    grpc_may_come_again,
    http_may_come_again,
    retry_after_s,
    retry_info_s,
    said_in_json,
)

NOW_UNIX_S = 1_700_000_000.0
_ODD = st.text(max_size=30) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["²", "9" * 5000])


def details(*messages: error_details_pb2.RetryInfo | error_details_pb2.ErrorInfo) -> bytes:
    """A status with these details."""
    status = status_pb2.Status(code=8)
    for message in messages:
        packed = AnyMessage()
        packed.Pack(message)
        status.details.append(packed)
    return status.SerializeToString()


def info(seconds: int, nanos: int = 0) -> error_details_pb2.RetryInfo:
    """When to come again."""
    return error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos))


def test_what_the_specification_calls_retryable() -> None:
    """Over HTTP its four statuses and two that mean the same; over gRPC its codes, one only where it says when."""
    assert [status for status in range(100, 600) if http_may_come_again(status)] == [408, 425, 429, 502, 503, 504]
    assert grpc_may_come_again("UNAVAILABLE", is_told_when=False)
    assert not grpc_may_come_again("INVALID_ARGUMENT", is_told_when=True)
    assert not grpc_may_come_again("RESOURCE_EXHAUSTED", is_told_when=False)
    assert grpc_may_come_again("RESOURCE_EXHAUSTED", is_told_when=True)


@pytest.mark.parametrize(
    ("text", "wanted_s"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("-7", 0.0),
        ("86400", MAX_RETRY_AFTER_S),
        (formatdate(NOW_UNIX_S + 60, usegmt=True), 60.0),
        (formatdate(NOW_UNIX_S + 60), 60.0),  # "-0000": read as UTC wherever this runs
        (formatdate(NOW_UNIX_S - 60, usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, wanted_s: float | None) -> None:
    """Seconds or a date; bounded on both sides, and nothing where it cannot be read."""
    assert retry_after_s(text, NOW_UNIX_S) == wanted_s


@given(_ODD)
def test_any_retry_after(text: str) -> None:
    """Whatever a server says there, it is no error, and no pause beyond the bound."""
    found_s = retry_after_s(text, NOW_UNIX_S)
    assert found_s is None or 0 <= found_s <= MAX_RETRY_AFTER_S


def test_retry_info() -> None:
    """In the status's details, behind others, or under a key of its own; bounded; nothing where there is none."""
    reason = error_details_pb2.ErrorInfo(reason="full")
    assert retry_info_s((("grpc-status-details-bin", details(reason, info(2, 500_000_000))),)) == 2.5
    assert retry_info_s((("google.rpc.retryinfo-bin", info(3).SerializeToString()),)) == 3
    assert retry_info_s((("grpc-status-details-bin", details(info(86_400))),)) == MAX_RETRY_AFTER_S
    assert retry_info_s((("grpc-status-details-bin", details(info(-5))),)) == 0
    assert retry_info_s((("grpc-status-details-bin", details(reason)), ("x-more", "text"))) is None
    assert retry_info_s(()) is None
    assert retry_info_s(None) is None


@given(st.sampled_from(["grpc-status-details-bin", "google.rpc.retryinfo-bin"]), st.binary(max_size=60))
def test_any_retry_info(key: str, content: bytes) -> None:
    """Whatever lies there, it is no error."""
    found_s = retry_info_s(((key, content),))
    assert found_s is None or 0 <= found_s <= MAX_RETRY_AFTER_S


@given(st.binary(max_size=40) | st.sampled_from([b"[" * 100_000, b'{"partialSuccess": {"rejectedDataPoints": 1e999}}']))
def test_any_answer_in_json(body: bytes) -> None:
    """What is neither a partial success nor a status says nothing."""
    said_in_json(body)


def test_answers_in_json() -> None:
    """A partial success, with its number as protobuf's JSON writes one, and a status; each on one short line."""
    partial = {"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "too\nold"}}
    assert said_in_json(json.dumps(partial).encode()) == (2, "too old")
    assert said_in_json(json.dumps({"code": 3, "message": "x" * 1000}).encode()) == (0, "x" * 200)
    assert said_in_json(b"[]") == (0, "")
