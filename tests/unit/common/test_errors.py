"""The table of errors, and that every type crosses the wire as itself."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.common import errors
from services.common.errors import (
    DETAILS_KEY,
    MAX_DETAILS_BYTES,
    FieldViolation,
    UsherError,
    from_rpc_error,
    status_details,
)

# Written out by hand from the contract, so that a change of the table is a change of this test.
TABLE = {
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "Gone": grpc.StatusCode.NOT_FOUND,
    "Conflict": grpc.StatusCode.ALREADY_EXISTS,
    "FailedPrecondition": grpc.StatusCode.FAILED_PRECONDITION,
    "PolicySetUnknown": grpc.StatusCode.FAILED_PRECONDITION,
    "StateBehind": grpc.StatusCode.FAILED_PRECONDITION,
    "Unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "PermissionDenied": grpc.StatusCode.PERMISSION_DENIED,
    "ResourceExhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
    "DeadlineExceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "Aborted": grpc.StatusCode.ABORTED,
    "Internal": grpc.StatusCode.INTERNAL,
}
FIXED_REASONS = {"Gone": "GONE", "PolicySetUnknown": "POLICY_SET_UNKNOWN", "StateBehind": "STATE_BEHIND"}


def as_received(error: UsherError) -> grpc.aio.AioRpcError:
    return received(error.code, error.message, (DETAILS_KEY, status_details(error)))


def received(code: grpc.StatusCode, text: str, *trailers: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=text)


def test_the_table_is_the_contract() -> None:
    assert {kind.__name__: code for kind, code in errors.STATUS_CODES.items()} == TABLE


@pytest.mark.parametrize("name", TABLE)
def test_every_type_survives_the_wire(name: str) -> None:
    kind = getattr(errors, name)
    sent = kind(
        FIXED_REASONS.get(name, "SOME_REASON"),
        "what to do about it",
        metadata={"applied_through": "42"},
        violations=[FieldViolation("events[3].client_ip", "NOT_AN_ADDRESS", "give an IPv4 or IPv6 address")],
        retry_after=1.5,
    )

    got = from_rpc_error(as_received(sent))

    assert type(got) is kind
    assert (got.reason, got.message, got.metadata) == (
        sent.reason,
        "what to do about it",
        {"applied_through": "42"},
    )
    assert got.violations == sent.violations
    assert got.retry_after == 1.5
    assert isinstance(got.__cause__, grpc.aio.AioRpcError)


def test_the_wire_form_is_googles() -> None:
    status = status_pb2.Status.FromString(
        status_details(errors.NotFound("EVENT_UNKNOWN", "no such event", metadata={"tenant": "a"}))
    )
    info = error_details_pb2.ErrorInfo()

    assert status.code == 5  # NOT_FOUND in google/rpc/code.proto
    assert status.message == "no such event"
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("EVENT_UNKNOWN", "usher", {"tenant": "a"})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.CANCELLED, errors.Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.UNKNOWN, errors.Internal),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Internal),
        (grpc.StatusCode.OUT_OF_RANGE, errors.InvalidArgument),
    ],
)
def test_the_transports_own_errors_are_typed_and_keep_its_text_to_themselves(
    code: grpc.StatusCode, kind: type[UsherError]
) -> None:
    got = from_rpc_error(received(code, "failed to connect to unix:/run/secret.sock"), method="/a.B/C")

    assert type(got) is kind
    assert got.reason == code.name
    assert "secret" not in got.message
    assert "a.B/C" in got.message


def test_a_deadline_names_the_hop_and_how_long_it_took() -> None:
    got = from_rpc_error(
        received(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"), method="/a.B/C", seconds=0.25
    )

    assert type(got) is errors.DeadlineExceeded
    assert got.message == "a.B/C had not answered after 250 ms"
    assert got.metadata == {"method": "a.B/C", "elapsed_ms": "250"}


@pytest.mark.parametrize("trailer", [b"\xff\xff\xff", b"", status_pb2.Status(code=5).SerializeToString()])
def test_foreign_details_are_not_taken_for_ours(trailer: bytes) -> None:
    got = from_rpc_error(received(grpc.StatusCode.NOT_FOUND, "x", (DETAILS_KEY, trailer)))

    assert type(got) is errors.NotFound
    assert got.reason == "NOT_FOUND"


def test_a_rpc_error_without_status_is_internal() -> None:
    assert type(from_rpc_error(grpc.RpcError())) is errors.Internal


def test_details_stay_below_the_metadata_limit_and_say_what_they_left_out() -> None:
    violations = [FieldViolation(f"events[{n}].client_ip", "NOT_AN_ADDRESS", "x" * 200) for n in range(500)]

    encoded = status_details(errors.InvalidArgument("INVALID_EVENTS", "many", violations=violations))
    got = from_rpc_error(received(grpc.StatusCode.INVALID_ARGUMENT, "many", (DETAILS_KEY, encoded)))

    assert len(encoded) <= MAX_DETAILS_BYTES
    assert 0 < len(got.violations) < 500
    assert len(got.violations) + int(got.metadata["violations_omitted"]) == 500


def test_oversized_metadata_keeps_the_reason() -> None:
    encoded = status_details(
        errors.Conflict("CONFLICT", "differs", metadata={f"key{n}": "v" * 1000 for n in range(100)})
    )
    got = from_rpc_error(received(grpc.StatusCode.ALREADY_EXISTS, "differs", (DETAILS_KEY, encoded)))

    assert len(encoded) <= MAX_DETAILS_BYTES
    assert (got.reason, got.metadata) == ("CONFLICT", {"metadata_omitted": "100"})


@pytest.mark.parametrize("reason", ["", "lower", "1X", "A-B", "A" * 64])
def test_reasons_are_upper_snake(reason: str) -> None:
    with pytest.raises(ValueError, match="UPPER_SNAKE"):
        errors.NotFound(reason, "x")


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_retry_after_is_a_finite_delay(seconds: float) -> None:
    with pytest.raises(ValueError, match="retry_after"):
        errors.Unavailable("GONE_AWAY", "x", retry_after=seconds)


def test_the_reasons_that_make_a_type_are_fixed() -> None:
    with pytest.raises(ValueError, match="POLICY_SET_UNKNOWN"):
        errors.PolicySetUnknown("OTHER", "x")
    with pytest.raises(ValueError, match="applied_through"):
        errors.StateBehind()
    assert errors.StateBehind(metadata={"applied_through": "7"}).applied_through == "7"


@given(st.text(max_size=3000), st.floats(min_value=0, max_value=1e6))
def test_any_text_and_delay_survive_within_their_limits(message: str, seconds: float) -> None:
    got = from_rpc_error(as_received(errors.Unavailable("BUSY", message, retry_after=seconds)))

    assert got.message == (message if len(message) <= 1024 else message[:1023] + "…")
    assert got.retry_after == pytest.approx(seconds, abs=1e-9, rel=1e-12)
