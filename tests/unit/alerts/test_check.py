"""What is taken and what is refused, field by field. Bounds: usher/alerts/v1/alerts.proto."""

from __future__ import annotations

from typing import Any

import pytest

from services.alerts import check
from tests.unit.alerts.messages import message
from usher.alerts.v1 import alerts_pb2


def found(**fields: Any) -> list[tuple[str, str]]:
    return [(item.field, item.reason) for item in check.violations(message(**fields))]


def test_a_whole_message_is_taken() -> None:
    assert found() == []


def test_what_the_contract_does_not_require_may_be_absent() -> None:
    bare = alerts_pb2.AlertMessage(tenant="acme", event_id="e1", kind="ring", entity="r1")

    assert check.violations(bare) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tenant": ""}, ("tenant", "MISSING")),
        ({"event_id": ""}, ("event_id", "MISSING")),
        ({"entity": ""}, ("entity", "MISSING")),
        ({"kind": ""}, ("kind", "MISSING")),
        ({"tenant": "a b"}, ("tenant", "IDENTIFIER_INVALID")),
        ({"event_id": "é"}, ("event_id", "IDENTIFIER_INVALID")),
        ({"entity": "x" * 256}, ("entity", "IDENTIFIER_INVALID")),
        ({"entity": "u1\n"}, ("entity", "IDENTIFIER_INVALID")),
        ({"kind": "Decision.Block"}, ("kind", "WORD_INVALID")),
        ({"kind": "k" * 65}, ("kind", "WORD_INVALID")),
        ({"entity_kind": "a user"}, ("entity_kind", "WORD_INVALID")),
        ({"severity": 9}, ("severity", "UNKNOWN_VALUE")),
        ({"reasons": range(257)}, ("reasons", "TOO_MANY")),
        ({"summary": "s" * 1025}, ("summary", "TOO_LONG")),
        ({"summary": "two\nlines"}, ("summary", "CONTROL_CHARACTER")),
        ({"summary": "nul\0"}, ("summary", "CONTROL_CHARACTER")),
    ],
)
def test_a_fault_names_its_field(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    assert found(**fields) == [expected]


@pytest.mark.parametrize(("seconds", "nanos"), [(-1, 0), (4_133_980_800, 0), (0, -1), (0, 1_000_000_000)])
def test_times_outside_1970_to_2100_are_refused(seconds: int, nanos: int) -> None:
    strange = message()
    strange.event_time.seconds, strange.event_time.nanos = seconds, nanos

    assert [(item.field, item.reason) for item in check.violations(strange)] == [
        ("event_time", "TIME_OUT_OF_RANGE")
    ]


def test_the_bounds_themselves_are_taken() -> None:
    assert found(entity="x" * 255, kind="k" * 64, reasons=range(256), summary="s" * 1024) == []


def test_all_faults_are_told_at_once() -> None:
    told = check.describe(check.violations(message(tenant="", kind="K", severity=7)))

    assert [part.split(":")[0] for part in told.split("; ")] == ["tenant", "kind", "severity"]
