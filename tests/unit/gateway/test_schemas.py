"""The OpenAPI document says what the routes really take and give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import schemas
from gateway.app import accounting_to_json
from gateway.results import decided, decided_batch, submitted_batch
from services.common.event_json import event_from_json, event_to_json
from services.common.render import decision_to_json
from tests.unit.gateway.schema_check import problems
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

ORIGINAL = Path(__file__).parents[2] / "data" / "original" / "event.json"


def filled(message: Any, depth: int = 0) -> Any:
    """Sets every field of a message, lists with one entry."""
    for field in message.DESCRIPTOR.fields:
        if field.name in ("metadata_json", "unknown_json", "unmapped"):
            continue
        if field.message_type is not None:
            target = getattr(message, field.name)
            filled(target.add() if field.is_repeated else target, depth + 1)
            continue
        value: Any
        if field.enum_type is not None:
            value = field.enum_type.values[-1].number
        elif field.type == field.TYPE_STRING:
            value = "x"
        elif field.type == field.TYPE_BYTES:
            value = b"\x01"
        else:
            value = 1
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def test_the_example_is_the_original_sample_and_maps() -> None:
    assert json.loads(ORIGINAL.read_text()) == schemas.EVENT_EXAMPLE
    assert not event_from_json(schemas.EVENT_EXAMPLE).HasField("unmapped")


@pytest.mark.parametrize("decision", [decision_pb2.Decision(), filled(decision_pb2.Decision())])
def test_decisions_fit_their_schema(decision: decision_pb2.Decision) -> None:
    event = filled(event_pb2.Event())
    assert problems(decision_to_json(decision, event), schemas.DECISION) == []


def test_a_filled_event_fits_its_schema() -> None:
    event = filled(event_pb2.Event())
    written = event_to_json(event)
    assert problems(written, schemas.COMPONENTS["Event"]) == []
    assert set(written) == set(schemas.COMPONENTS["Event"]["properties"]) - {"extra_metadata"}


def results() -> list[ingest_pb2.EventResult]:
    failure = {
        "reason": "INVALID_EVENT",
        "message": "correct it",
        "violations": [{"field": "user_id", "reason": "MISSING", "message": "send it"}],
        "failed_id": "failed_1",
    }
    return [
        ingest_pb2.EventResult(
            status=ingest_pb2.EVENT_STATUS_DECIDED, event_id="a", decision={"event_id": "a"}
        ),
        ingest_pb2.EventResult(
            status=ingest_pb2.EVENT_STATUS_DUPLICATE, event_id="b", decision={"event_id": "b"}
        ),
        ingest_pb2.EventResult(status=ingest_pb2.EVENT_STATUS_FAILED, event_id="c", failure=failure),
        ingest_pb2.EventResult(
            status=ingest_pb2.EVENT_STATUS_REFUSED,
            event_id="d",
            failure={"reason": "QUEUE_FULL", "message": "wait", "retry_after_ms": 1500},
        ),
    ]


def test_batches_fit_their_schemas() -> None:
    for answer, name in (
        (decided_batch(results()), "DecisionBatch"),
        (submitted_batch(results()), "QueuedBatch"),
    ):
        assert answer.status_code == 207
        assert answer.headers["retry-after"] == "2"
        assert problems(json.loads(answer.body), schemas.COMPONENTS[name]) == []


def test_problems_fit_their_schema() -> None:
    for result in results()[2:]:
        answer = decided(result)
        assert answer.media_type == "application/problem+json"
        assert problems(json.loads(answer.body), schemas.PROBLEM) == []


def test_books_fit_their_schema() -> None:
    assert problems(accounting_to_json(ingest_pb2.Accounting()), schemas.ACCOUNTING_BOOKS) == []
    every = {field.name for field in ingest_pb2.Accounting.DESCRIPTOR.fields}
    assert set(accounting_to_json(ingest_pb2.Accounting())) == every
