"""What ingest assembles by hand is what protobuf serialises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import wire
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import ingest_pb2


@pytest.mark.parametrize(
    ("value", "encoded"),
    # The first three from https://protobuf.dev/programming-guides/encoding/#varints; the others by hand.
    [
        (1, "01"),
        (150, "9601"),
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_384, "808001"),
        (2**64 - 1, "ff" * 9 + "01"),
    ],
)
def test_varints(value: int, encoded: str) -> None:
    assert wire.varint(value).hex() == encoded


@given(
    st.integers(0, 2**63 - 1),
    st.text(max_size=300),
    st.lists(st.integers(0, 2**32 - 1), max_size=40),
    st.integers(0, 253_402_300_799_999),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
)
def test_parts_of_a_decision(
    position: int, text: str, stages: list[int], at_ms: int, outcome: int, flags: int, trace: bytes
) -> None:
    assembled = (
        wire.length_delimited(wire.EVENT_ID, text.encode())
        + wire.length_delimited(wire.TENANT, b"acme")
        + wire.length_delimited(wire.USER_ID, text.encode())
        + wire.timestamp(wire.DECIDED_TIME, at_ms)
        + wire.length_delimited(wire.POLICY_SET, b"ps_1")
        + wire.POSITION
        + wire.varint(position)
        + wire.packed(wire.DEGRADED, [2, 4])
        + wire.FOLDED
        + b"\x01"
        + wire.SIGHTED
        + b"\x01"
        + wire.packed(wire.STAGE_US, stages)
        + wire.length_delimited(wire.TRACE_ID, trace)
        + wire.ITEM_FLAGS
        + wire.varint(flags)
        + wire.EVENT_CLASS
        + wire.varint(3)
        + wire.OUTCOME
        + wire.varint(outcome)
        + wire.WOULD_BE
        + wire.varint(4)
        + wire.MODE
        + wire.varint(2)
    )
    expected = decision_pb2.Decision(
        event_id=text,
        tenant="acme",
        user_id=text,
        policy_set="ps_1",
        position=position,
        degraded=[decision_pb2.SERVICE_COMPLIANCE, decision_pb2.SERVICE_FRAUD],
        folded=True,
        sighted=True,
        stage_us=stages,
        trace_id=trace,
        item_flags=flags,
        event_class=3,
        outcome=outcome,  # type: ignore[arg-type]
        would_be=decision_pb2.OUTCOME_BLOCK,
        mode=decision_pb2.MODE_ENFORCE,
    )
    expected.decided_time.FromMilliseconds(at_ms)
    assert decision_pb2.Decision.FromString(assembled) == expected


def test_nested_messages_are_length_delimited() -> None:
    verdict = decision_pb2.Verdict(status=decision_pb2.COMPLIANCE_STATUS_GAP, risk=1.5)
    assessment = decision_pb2.Assessment(signals=[1.0, 2.0], ring_id="ring_1")
    assembled = wire.length_delimited(wire.VERDICT, verdict.SerializeToString()) + wire.length_delimited(
        wire.ASSESSMENT, assessment.SerializeToString()
    )
    assert assembled == decision_pb2.Decision(verdict=verdict, assessment=assessment).SerializeToString()


@given(st.lists(st.tuples(st.integers(1, 6), st.text(max_size=260), st.booleans()), max_size=5))
def test_results(rows: list[tuple[int, str, bool]]) -> None:
    decision = decision_pb2.Decision(event_id="e", position=300)
    expected = ingest_pb2.DecideEventsResponse()
    parts = []
    for status, event_id, decided in rows:
        one = expected.results.add(status=status, event_id=event_id)  # type: ignore[arg-type]
        if decided:
            one.decision.CopyFrom(decision)
        parts.append(wire.result(status, event_id, decision.SerializeToString() if decided else b""))
    assembled = wire.results(parts)
    assert ingest_pb2.DecideEventsResponse.FromString(assembled) == expected
    assert ingest_pb2.SubmitEventsResponse.FromString(assembled).results == expected.results
