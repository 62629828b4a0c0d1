"""Which messages make one alert. Expected values follow from the rule: same tenant, kind, entity kind and entity,
within 30 minutes of the alert's first or last message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.grouping import (
    ESCALATED,
    MAX_REASONS_PER_ALERT,
    OPENED,
    Grouping,
    Known,
    group_key,
    message_key,
)
from services.alerts.rules import parse
from services.alerts.settings import DEFAULT_RULES
from tests.unit.alerts.messages import MINUTE_MS, NOON_MS, TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2

RULES = parse(DEFAULT_RULES.read_text())
WINDOW_NS = RULES.grouped("decision.block").window_ns
GROUPED, NEW = alerts_pb2.RAISE_STATUS_GROUPED, alerts_pb2.RAISE_STATUS_OPENED
DUPLICATE = alerts_pb2.RAISE_STATUS_DUPLICATE


def grouped(*messages: alerts_pb2.AlertMessage) -> tuple[Grouping, list[alerts_pb2.RaiseResult]]:
    grouping = Grouping(RULES, {}, [])
    return grouping, [grouping.take(item, NOON_MS * 1_000_000) for item in messages]


def statuses(results: list[alerts_pb2.RaiseResult]) -> list[int]:
    return [result.status for result in results]


def only(grouping: Grouping) -> alerts_pb2.Alert:
    (alert,) = grouping.changed.values()
    return alert


def test_the_window_is_half_an_hour() -> None:
    assert WINDOW_NS == 30 * 60 * 1_000_000_000


def test_the_first_message_opens_an_alert_that_tells_all_of_it() -> None:
    grouping, results = grouped(message())

    assert statuses(results) == [NEW]
    alert = only(grouping)
    assert alert.alert_id == results[0].alert_id
    assert alert.alert_id.startswith("alert_")
    assert len(bytes.fromhex(alert.alert_id.removeprefix("alert_"))) == 16
    assert (alert.tenant, alert.kind, alert.entity_kind, alert.entity) == (
        "acme",
        "decision.block",
        "user",
        "u1",
    )
    assert (alert.count, alert.severity) == (1, alerts_pb2.SEVERITY_MEDIUM)
    assert alert.first_time.ToMilliseconds() == alert.last_time.ToMilliseconds() == NOON_MS
    assert (alert.first_event_id, alert.last_event_id) == ("e1", "e1")
    assert (list(alert.reasons), alert.summary) == ([101], "an export was stopped")


@pytest.mark.parametrize(
    ("minutes", "status"),
    [(0.0, GROUPED), (29.0, GROUPED), (30.0, GROUPED), (30.001, NEW), (-30.0, GROUPED), (-30.001, NEW)],
)
def test_the_window_counts_from_the_last_message_and_its_end_is_inside(minutes: float, status: int) -> None:
    _, results = grouped(message(), message("e2", minutes=minutes))

    assert statuses(results) == [NEW, status]


def test_each_message_moves_the_window_on() -> None:
    _, results = grouped(*(message(f"e{number}", minutes=25.0 * number) for number in range(5)))

    assert statuses(results) == [NEW, GROUPED, GROUPED, GROUPED, GROUPED]


@pytest.mark.parametrize(
    "fields", [{"tenant": "other"}, {"kind": "decision.review"}, {"entity_kind": "ring"}, {"entity": "u2"}]
)
def test_what_differs_in_the_group_key_is_another_alert(fields: dict[str, Any]) -> None:
    _, results = grouped(message(), message("e2", **fields))

    assert statuses(results) == [NEW, NEW]
    assert results[0].alert_id != results[1].alert_id


def test_keys_do_not_run_together() -> None:
    assert message_key(message("ab", kind="c")) != message_key(message("a", kind="bc"))
    assert group_key(message(entity_kind="a", entity="bc")) != group_key(
        message(entity_kind="ab", entity="c")
    )


def test_the_message_key_is_tenant_event_and_kind_alone() -> None:
    assert message_key(message()) == message_key(message(entity="u2", severity=4, minutes=5))
    assert message_key(message()) != message_key(message(kind="decision.review"))
    assert message_key(message()) != message_key(message(tenant="other"))


def test_a_repeat_within_the_call_changes_nothing() -> None:
    grouping, results = grouped(message(), message(severity=alerts_pb2.SEVERITY_CRITICAL))

    assert statuses(results) == [NEW, DUPLICATE]
    assert results[0].alert_id == results[1].alert_id
    assert (only(grouping).count, only(grouping).severity) == (1, alerts_pb2.SEVERITY_MEDIUM)


def test_a_repeat_of_an_earlier_call_names_its_alert() -> None:
    grouping = Grouping(RULES, {message_key(message()): "alert_of_before"}, [])
    result = grouping.take(message(), 0)

    assert (result.status, result.alert_id) == (DUPLICATE, "alert_of_before")
    assert not grouping.changed
    assert not grouping.candidates()


def test_a_late_message_becomes_the_first() -> None:
    grouping, _ = grouped(message(), message("e0", minutes=-10, summary="it began here"))
    alert = only(grouping)

    assert alert.count == 2
    assert (alert.first_event_id, alert.last_event_id, alert.summary) == ("e0", "e1", "it began here")
    assert alert.first_time.ToMilliseconds() == NOON_MS - 10 * MINUTE_MS
    assert alert.last_time.ToMilliseconds() == NOON_MS


def test_between_two_alerts_the_later_one_is_joined() -> None:
    _, results = grouped(message(), message("e2", minutes=50), message("e3", minutes=25))

    assert statuses(results) == [NEW, NEW, GROUPED]
    assert results[2].alert_id == results[1].alert_id


def test_without_a_time_the_time_of_receipt_stands_in() -> None:
    untimed = message()
    untimed.ClearField("event_time")
    grouping = Grouping(RULES, {}, [])
    grouping.take(untimed, NOON_MS * 1_000_000)

    assert only(grouping).first_time.ToMilliseconds() == NOON_MS


def test_severity_only_rises_and_unspecified_is_low() -> None:
    levels = [alerts_pb2.SEVERITY_UNSPECIFIED, alerts_pb2.SEVERITY_HIGH, alerts_pb2.SEVERITY_LOW]
    grouping, _ = grouped(*(message(f"e{number}", severity=level) for number, level in enumerate(levels)))
    lone, _ = grouped(message(severity=alerts_pb2.SEVERITY_UNSPECIFIED))

    assert only(grouping).severity == alerts_pb2.SEVERITY_HIGH
    assert only(lone).severity == alerts_pb2.SEVERITY_LOW


def test_reasons_are_a_union_of_at_most_32_in_order_of_arrival() -> None:
    grouping, _ = grouped(message(reasons=[7, 3, 7]), message("e2", reasons=[3, *range(100, 140)]))

    assert MAX_REASONS_PER_ALERT == 32
    assert list(only(grouping).reasons) == [7, 3, *range(100, 130)]


def test_opening_is_told_once_a_call_with_the_severity_reached() -> None:
    grouping, results = grouped(message(severity=1), message("e2", severity=3), message("e3", severity=2))
    (telling,) = grouping.candidates()

    assert (telling.alert_id, telling.change, telling.severity) == (results[0].alert_id, OPENED, 3)


def test_only_a_graver_message_is_told_again() -> None:
    first, _ = grouped(message(severity=2))
    (opened,) = first.candidates()
    again = Grouping(RULES, {}, [Known(only(first), 2, 0)])
    again.take(message("e2", severity=2, minutes=1), 0)
    assert again.candidates() == []

    other = "00-0af7651916cd43dd8448eb211c80319c-00000000000000aa-01"
    again.take(message("e3", severity=4, minutes=2, traceparent=other), 0)
    (telling,) = again.candidates()
    assert (telling.change, telling.severity, telling.traceparent) == (ESCALATED, 4, other)
    assert telling.telling_id != opened.telling_id


def test_a_traceparent_that_cannot_be_read_is_left_out() -> None:
    good, _ = grouped(message())
    bad, _ = grouped(message(traceparent="nonsense"))

    assert good.candidates()[0].traceparent == TRACEPARENT
    assert bad.candidates()[0].traceparent == ""


messages = st.lists(
    st.builds(
        lambda number, minutes, severity, entity: message(
            f"e{number}", minutes=minutes, severity=severity, entity=entity
        ),
        st.integers(0, 12),
        st.integers(-90, 90),
        st.integers(0, 4),
        st.sampled_from(["u1", "u2"]),
    ),
    max_size=25,
)


@given(messages, st.integers(0, 25))
def test_two_calls_make_the_same_alerts_as_one(sent: list[alerts_pb2.AlertMessage], cut: int) -> None:
    whole, results = grouped(*sent)
    first, before = grouped(*sent[:cut])
    second = Grouping(RULES, first.new_keys, [Known(one, 0, 0) for one in first.changed.values()])
    after = [second.take(item, 0) for item in sent[cut:]]

    assert [*before, *after] == results
    assert {**first.changed, **second.changed} == whole.changed
    assert {**first.new_keys, **second.new_keys} == whole.new_keys


@given(messages)
def test_every_message_is_counted_once(sent: list[alerts_pb2.AlertMessage]) -> None:
    grouping, results = grouped(*sent)

    assert sum(alert.count for alert in grouping.changed.values()) == len({item.event_id for item in sent})
    assert sum(result.status == DUPLICATE for result in results) == len(sent) - len(grouping.new_keys)
    for alert in grouping.changed.values():
        assert alert.first_time.ToNanoseconds() <= alert.last_time.ToNanoseconds()
