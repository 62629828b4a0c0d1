"""What `usher alerts` does: one call to alerts each, told as a table or as JSON lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, say
from cli.mesh import call, checked_target, connected, printable, told
from cli.mode import user_name
from services.common.errors import UsherError, from_rpc_error
from services.common.event_json import parse_time, time_to_json
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.decision.v1 import decision_pb2

_TIMEOUT_S = 20.0
_PAGE = 500
_ACTS = {
    "ack": alerts_pb2.ALERT_ACT_ACKNOWLEDGE,
    "assign": alerts_pb2.ALERT_ACT_ASSIGN,
    "resolve": alerts_pb2.ALERT_ACT_RESOLVE,
    "false-alarm": alerts_pb2.ALERT_ACT_FALSE_ALARM,
}


def number_of(enum: Any, prefix: str, name: str, what: str) -> Any:
    """The number of an enum's name, 0 for none. Raises UnusableError for a name that is none."""
    if not name:
        return 0
    known = {one.removeprefix(prefix).lower(): number for one, number in enum.items() if number}
    if name.lower() not in known:
        raise UnusableError(f"{printable(name)} is no {what}: {', '.join(known)}")
    return known[name.lower()]


def name_of(enum: Any, prefix: str, number: int) -> str:
    """The lower-case name of an enum's number."""
    return enum.Name(number).removeprefix(prefix).lower() if number in enum.values() else str(number)


def severity(name: str) -> Any:
    """Number of a severity's name."""
    return number_of(alerts_pb2.Severity, "SEVERITY_", name, "severity")


def subject(text: str) -> alerts_pb2.Subject | None:
    """The subject of KIND=VALUE; None without one. Raises UnusableError."""
    if not text:
        return None
    kind, equals, value = text.partition("=")
    if not equals or not kind or not value:
        raise UnusableError("write a kind and a value: user=u1, device=d7, address=203.0.113.7, payment=p1")
    return alerts_pb2.Subject(kind=kind, value=value)


def selection(
    tenant: str, minimum: str, states: Sequence[str], kind: str, assignee: str, search: str
) -> alerts_pb2.ListAlertsRequest:
    """What is to be listed."""
    return alerts_pb2.ListAlertsRequest(
        tenant=tenant,
        minimum_severity=severity(minimum),
        states=[number_of(alerts_pb2.AlertState, "ALERT_STATE_", one, "state") for one in states],
        subject=subject(search),
        kind=kind,
        assignee=assignee,
    )


def list_alerts(target: str, which: alerts_pb2.ListAlertsRequest, limit: int, as_json: bool) -> int:
    """Lists alerts."""
    found: list[alerts_pb2.Alert] = []
    with connected(target) as channel:
        stub = alerts_pb2_grpc.AlertsServiceStub(channel)
        while len(found) < limit:
            which.page_size = min(_PAGE, limit - len(found))
            answer = _ask(target, stub.ListAlerts, which)
            found += answer.alerts
            which.page_token = answer.next_page_token
            if not which.page_token:
                break
    _alerts(found, as_json)
    if which.page_token:
        say(f"there are more; --limit {limit * 10} shows them")
    return EXIT_OK


def show_queue(target: str, tenant: str, capacity: int, assignee: str, as_json: bool) -> int:
    """Shows what to work on today."""
    request = alerts_pb2.GetWorkQueueRequest(tenant=tenant, capacity=capacity, assignee=assignee)
    with connected(target) as channel:
        answer = _ask(target, alerts_pb2_grpc.AlertsServiceStub(channel).GetWorkQueue, request)
    _alerts(answer.alerts[: answer.within_capacity], as_json)
    beyond = answer.waiting - answer.within_capacity
    say(
        f"{answer.done_today} done today; {answer.within_capacity} fit into what is left of the day, "
        f"{beyond} do not (expected loss {answer.loss_beyond:,.0f})"
    )
    return EXIT_OK


def show_alert(target: str, tenant: str, alert_id: str, as_json: bool) -> int:
    """Shows one alert with its deliveries."""
    with connected(target) as channel:
        answer = _ask(
            target,
            alerts_pb2_grpc.AlertsServiceStub(channel).GetAlert,
            alerts_pb2.GetAlertRequest(tenant=tenant, alert_id=alert_id),
        )
    if as_json:
        _json([answer])
        return EXIT_OK
    alert = answer.alert
    for name, value in (
        ("alert", alert.alert_id),
        ("kind", alert.kind),
        ("about", f"{alert.entity_kind} {alert.entity}"),
        ("severity", name_of(alerts_pb2.Severity, "SEVERITY_", alert.severity)),
        ("state", name_of(alerts_pb2.AlertState, "ALERT_STATE_", alert.state)),
        ("assignee", alert.assignee or "nobody"),
        ("incident", alert.incident or "none"),
        (
            "messages",
            f"{alert.count}, {time_to_json(alert.first_time)} to {time_to_json(alert.last_time)}",
        ),
        (
            "reasons",
            ", ".join(name_of(decision_pb2.ReasonCode, "REASON_CODE_", one) for one in alert.reasons),
        ),
        ("concerns", ", ".join(f"{one.kind} {one.value}" for one in alert.subjects)),
        ("events", ", ".join(alert.event_ids[:10])),
        ("expected loss", f"{alert.expected_loss:,.2f}"),
        (
            "quiet",
            name_of(alerts_pb2.Silence, "SILENCE_", alert.silence) if alert.silence else "",
        ),
        ("summary", alert.summary),
    ):
        if value:
            print(f"{name:<14}{printable(str(value))}")
    print()
    _deliveries(answer.deliveries, as_json)
    return EXIT_OK


def act(
    target: str,
    tenant: str,
    what: str,
    alert_ids: Sequence[str],
    search: str,
    actor: str,
    note: str,
    preview: bool,
    as_json: bool,
    *,
    assignee: str = "",
    label: bool = False,
) -> int:
    """Does something with alerts, or says what it would do."""
    if bool(alert_ids) == bool(search):
        raise UnusableError("name alerts, or --search KIND=VALUE; `usher alerts list` shows them")
    request = alerts_pb2.ActOnAlertsRequest(
        tenant=tenant,
        act=_ACTS[what],
        actor=actor or user_name(),
        alert_ids=alert_ids,
        selection=None if alert_ids else selection(tenant, "", [], "", "", search),
        assignee=assignee,
        preview=preview,
        note=note,
        label=label,
    )
    with connected(target) as channel:
        answer = _ask(target, alerts_pb2_grpc.AlertsServiceStub(channel).ActOnAlerts, request)
    _alerts(answer.alerts, as_json)
    would = "would change" if preview else "changed"
    say(f"{answer.selected} selected, {answer.changed} {would}, {answer.entities} entities concerned")
    for one in answer.unknown:
        say(f"{printable(one)}: there is no such alert")
    return EXIT_INCOMPLETE if answer.unknown else EXIT_OK


def snooze(
    target: str,
    tenant: str,
    entity: str,
    hours: float,
    kind: str,
    reason: str,
    lift: str,
    actor: str,
    as_json: bool,
) -> int:
    """Keeps an entity quiet, ends that, or lists what is quiet."""
    who = actor or user_name()
    with connected(target) as channel:
        stub = alerts_pb2_grpc.AlertsServiceStub(channel)
        if lift:
            _ask(
                target,
                stub.LiftSnooze,
                alerts_pb2.LiftSnoozeRequest(tenant=tenant, snooze_id=lift, actor=who),
            )
            say("it is told again from now on")
            return EXIT_OK
        if entity:
            about = subject(entity)
            assert about is not None
            if not reason:
                raise UnusableError("say with --reason why")
            asked = alerts_pb2.Snooze(
                entity_kind=about.kind, entity=about.value, kind=kind, reason=reason, actor=who
            )
            asked.until_time.FromMilliseconds(round((time.time() + hours * 3600) * 1000))
            answer = _ask(
                target, stub.SnoozeEntity, alerts_pb2.SnoozeEntityRequest(tenant=tenant, snooze=asked)
            )
            found = [answer.snooze]
        else:
            found = list(_ask(target, stub.ListSnoozes, alerts_pb2.ListSnoozesRequest(tenant=tenant)).snoozes)
    if as_json:
        _json(found)
        return EXIT_OK
    _table(
        ("snooze", "until", "about", "kind", "by", "reason"),
        [
            (
                one.snooze_id,
                time_to_json(one.until_time),
                f"{one.entity_kind} {one.entity}",
                one.kind or "all",
                one.actor,
                one.reason,
            )
            for one in found
        ],
    )
    return EXIT_OK


def watch(target: str, tenant: str, minimum: str, after: int, as_json: bool) -> int:
    """Shows alerts as they change."""
    request = alerts_pb2.WatchAlertsRequest(
        tenant=tenant, minimum_severity=severity(minimum), after_changed=after
    )
    with connected(checked_target(target)) as channel:
        stream = alerts_pb2_grpc.AlertsServiceStub(channel).WatchAlerts(request)
        try:
            for piece in stream:
                for alert in piece.alerts:
                    if as_json:
                        _json([alert])
                    else:
                        print("  ".join(printable(cell) for cell in _line(alert)))
                sys.stdout.flush()
        except KeyboardInterrupt:
            return EXIT_OK
        except grpc.RpcError as failure:
            raise UnusableError(f"{target}: {from_rpc_error(failure)}") from None
    return EXIT_OK


def test_route(
    target: str,
    tenant: str,
    kind: str,
    level: str,
    segment: str,
    regulations: Sequence[str],
    at: str,
    as_json: bool,
) -> int:
    """Says who would be told."""
    message = alerts_pb2.AlertMessage(
        tenant=tenant,
        event_id="route-test",
        kind=kind,
        entity_kind="user",
        entity="route-test",
        severity=severity(level),
        segment=number_of(decision_pb2.Segment, "SEGMENT_", segment, "segment"),
        regulations=regulations,
    )
    request = alerts_pb2.TestRouteRequest(message=message)
    if at:
        try:
            request.at_time.seconds, request.at_time.nanos = parse_time(at)
        except ValueError:
            raise UnusableError("--at is an RFC 3339 time: 2026-12-25T03:00:00Z") from None
    with connected(target) as channel:
        answer = _ask(target, alerts_pb2_grpc.AlertsServiceStub(channel).TestRoute, request)
    if as_json:
        _json([answer])
        return EXIT_OK
    _table(
        ("when", "step", "channel", "type", "route"),
        [
            (time_to_json(one.time), str(one.step), one.channel, one.type, one.route)
            for one in answer.tellings
        ],
    )
    say(
        f"grouped by {answer.grouped_by} within {answer.window_seconds / 60:.0f} min; "
        f"{'opens' if answer.opens_incident else 'opens no'} incident; expected loss {answer.expected_loss:,.2f}"
    )
    return EXIT_OK


test_route.__test__ = False  # type: ignore[attr-defined]


def list_deliveries(
    target: str, tenant: str, channel_name: str, state: str, limit: int, as_json: bool
) -> int:
    """Lists deliveries."""
    request = alerts_pb2.ListDeliveriesRequest(
        tenant=tenant,
        channel=channel_name,
        state=number_of(alerts_pb2.DeliveryState, "DELIVERY_STATE_", state, "state"),
    )
    found: list[alerts_pb2.Delivery] = []
    with connected(target) as channel:
        stub = alerts_pb2_grpc.AlertsServiceStub(channel)
        while len(found) < limit:
            request.page_size = min(_PAGE, limit - len(found))
            answer = _ask(target, stub.ListDeliveries, request)
            found += answer.deliveries
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
    _deliveries(found, as_json)
    return EXIT_OK


def replay(target: str, tenant: str, ids: Sequence[int], channel_name: str, actor: str) -> int:
    """Sends dead letters again."""
    request = alerts_pb2.ReplayDeliveriesRequest(
        tenant=tenant, delivery_ids=ids, channel=channel_name, actor=actor or user_name()
    )
    with connected(target) as channel:
        answer = _ask(target, alerts_pb2_grpc.AlertsServiceStub(channel).ReplayDeliveries, request)
    say(f"{answer.replayed} dead letters are sent again")
    return EXIT_INCOMPLETE if ids and answer.replayed < len(ids) else EXIT_OK


def list_incidents(target: str, tenant: str, as_json: bool) -> int:
    """Lists incidents, newest first."""
    request = alerts_pb2.ListIncidentsRequest(tenant=tenant, page_size=_PAGE)
    with connected(target) as channel:
        answer = _ask(target, alerts_pb2_grpc.AlertsServiceStub(channel).ListIncidents, request)
    if as_json:
        _json(answer.incidents)
        return EXIT_OK
    _table(
        ("incident", "severity", "state", "assignee", "resolve by", "alerts", "late", "title"),
        [
            (
                one.number,
                name_of(alerts_pb2.Severity, "SEVERITY_", one.severity),
                name_of(alerts_pb2.IncidentState, "INCIDENT_STATE_", one.state),
                one.assignee or "-",
                time_to_json(one.resolve_by_time),
                str(len(one.alert_ids)),
                one.overdue or "-",
                one.title,
            )
            for one in answer.incidents
        ],
    )
    return EXIT_OK


def incident(
    target: str,
    tenant: str,
    number: str,
    state: str,
    assignee: str,
    note: str,
    link: str,
    actor: str,
    as_json: bool,
) -> int:
    """Works on an incident where something is to change, then shows it."""
    with connected(target) as channel:
        stub = alerts_pb2_grpc.AlertsServiceStub(channel)
        if state or assignee or note or link:
            request = alerts_pb2.UpdateIncidentRequest(
                tenant=tenant,
                number=number,
                actor=actor or user_name(),
                state=number_of(alerts_pb2.IncidentState, "INCIDENT_STATE_", state, "state"),
                assignee="" if assignee == "-" else assignee,
                assign=bool(assignee),
                note=note,
                link=link,
            )
            _ask(target, stub.UpdateIncident, request)
        answer = _ask(target, stub.GetIncident, alerts_pb2.GetIncidentRequest(tenant=tenant, number=number))
    if as_json:
        _json([answer])
        return EXIT_OK
    one = answer.incident
    print(
        f"{one.number}  {name_of(alerts_pb2.IncidentState, 'INCIDENT_STATE_', one.state)}  {printable(one.title)}"
    )
    print(
        f"severity {name_of(alerts_pb2.Severity, 'SEVERITY_', one.severity)}, "
        f"assignee {printable(one.assignee) or 'nobody'}, {len(one.alert_ids)} alerts, "
        f"{len(one.event_ids)} decisions, resolve by {time_to_json(one.resolve_by_time)}"
        + (f", late: {one.overdue}" if one.overdue else "")
    )
    _table(
        ("time", "who", "what", "text"),
        [(time_to_json(line.time), line.actor, line.what, line.text) for line in answer.timeline],
    )
    return EXIT_OK


def _ask(target: str, method: Callable[..., Any], request: Message) -> Any:
    try:
        return call(target, method, request, _TIMEOUT_S)
    except UsherError as error:
        raise UnusableError(told(error)) from None


def _line(alert: alerts_pb2.Alert) -> tuple[str, ...]:
    return (
        time_to_json(alert.last_time),
        name_of(alerts_pb2.Severity, "SEVERITY_", alert.severity),
        name_of(alerts_pb2.AlertState, "ALERT_STATE_", alert.state),
        alert.kind,
        f"{alert.entity_kind} {alert.entity}",
        str(alert.count),
        f"{alert.expected_loss:,.0f}",
        alert.assignee or "-",
        alert.incident or "-",
        alert.alert_id,
    )


def _alerts(found: Iterable[alerts_pb2.Alert], as_json: bool) -> None:
    if as_json:
        _json(found)
        return
    heads = (
        "last seen",
        "severity",
        "state",
        "kind",
        "about",
        "count",
        "loss",
        "assignee",
        "incident",
        "alert",
    )
    _table(heads, [_line(alert) for alert in found])


def _deliveries(found: Iterable[alerts_pb2.Delivery], as_json: bool) -> None:
    if as_json:
        _json(found)
        return
    _table(
        ("delivery", "time", "channel", "state", "change", "severity", "tries", "status", "answer"),
        [
            (
                str(one.delivery_id),
                time_to_json(one.time),
                one.channel,
                name_of(alerts_pb2.DeliveryState, "DELIVERY_STATE_", one.state),
                one.change,
                name_of(alerts_pb2.Severity, "SEVERITY_", one.severity),
                str(one.attempts),
                str(one.status or "-"),
                one.response[:60],
            )
            for one in found
        ],
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in [heads, *shown]) for n in range(len(heads))]
    for row in [heads, *shown]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _json(found: Iterable[Message]) -> None:
    for one in found:
        obj = MessageToDict(one, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        sys.stdout.buffer.write(orjson.dumps(obj, option=orjson.OPT_APPEND_NEWLINE))
