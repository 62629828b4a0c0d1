"""What a client answers by itself: the table of the design for an event that nobody judged."""

from __future__ import annotations

import pytest

from client.fallback import FALLBACK, KnownDevices, answer_of, fallback
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

CAUTION, REVIEW = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION, decision_pb2.OUTCOME_REVIEW


def event(kind: str = "play", device: str = "d1") -> event_pb2.Event:
    return event_pb2.Event(event_id="e1", user_id="u1", device_id=device, event_type=kind)


@pytest.mark.parametrize(
    ("kind", "known", "unknown"),
    [
        ("PLAY", CAUTION, CAUTION),
        ("streaming_start", CAUTION, CAUTION),
        ("logout", CAUTION, CAUTION),
        ("erasure_request", CAUTION, CAUTION),
        ("login", CAUTION, REVIEW),
        ("bulk_download", REVIEW, REVIEW),
        ("payment_method_change", REVIEW, REVIEW),
        ("password_change", REVIEW, REVIEW),
        ("something_new", REVIEW, REVIEW),
    ],
)
def test_by_class_and_device(kind: str, known: int, unknown: int) -> None:
    devices = KnownDevices()
    devices.note("u1", "d1")
    told = fallback(event(kind), devices, "UNAVAILABLE")
    assert (told.outcome, told.reason, told.cause, told.decision) == (known, FALLBACK, "UNAVAILABLE", None)
    assert fallback(event(kind, "d2"), devices, "UNAVAILABLE").outcome == unknown


def result(status: int, **decision: int) -> ingest_pb2.EventResult:
    made = ingest_pb2.EventResult(status=status, event_id="e1")  # type: ignore[arg-type]
    if decision:
        made.decision.MergeFrom(decision_pb2.Decision(event_id="e1", **decision))  # type: ignore[arg-type]
    return made


def test_a_device_is_known_once_it_was_let_in() -> None:
    devices = KnownDevices(capacity=2)
    decided = ingest_pb2.EVENT_STATUS_DECIDED
    answer_of(event("login"), result(decided, outcome=REVIEW), devices)
    assert ("u1", "d1") not in devices
    told = answer_of(event("login"), result(decided, outcome=CAUTION), devices)
    assert told is not None
    assert not told.is_fallback
    assert ("u1", "d1") in devices
    devices.note("u2", "d2")
    devices.note("u1", "d1")
    devices.note("u3", "d3")
    assert ("u1", "d1") in devices
    assert ("u2", "d2") not in devices


def test_an_outcome_of_a_newer_server_counts_as_review() -> None:
    told = answer_of(event(), result(ingest_pb2.EVENT_STATUS_DUPLICATE, outcome=77), KnownDevices())
    assert told is not None
    assert told.outcome == REVIEW


def test_what_is_refused_for_the_moment_has_no_answer_and_what_is_wrong_says_so() -> None:
    busy = result(ingest_pb2.EVENT_STATUS_REFUSED)
    busy.failure.reason, busy.failure.retry_after_ms = "QUEUE_FULL", 250
    assert answer_of(event(), busy, KnownDevices()) is None
    failed = result(ingest_pb2.EVENT_STATUS_FAILED)
    failed.failure.reason = "INVALID_EVENT"
    told = answer_of(event("export"), failed, KnownDevices())
    assert told is not None
    assert told.failure == failed.failure
    assert (told.outcome, told.reason, told.cause) == (REVIEW, "", "INVALID_EVENT")
