"""What ingest tells people: messages for alerts. Pure."""

from __future__ import annotations

from services.ingest.items import Item
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import lists_pb2

_MOST_REGULATIONS = 32


def alert_of(
    item: Item, outcome: int, part: bytes, verdict: bytes, assessment: bytes
) -> alerts_pb2.AlertMessage:
    """The message about a decision to review or block, from scoring's, compliance's and fraud's parts of it."""
    decision = decision_pb2.Decision.FromString(part)
    findings = decision_pb2.Verdict.FromString(verdict).findings
    scored = len(decision.numbers) > decision_pb2.NUMBER_INDEX_VIOLATION_LIKELIHOOD
    blocked = outcome == decision_pb2.OUTCOME_BLOCK
    message = alerts_pb2.AlertMessage(
        tenant=item.tenant,
        event_id=item.event_id,
        kind="decision.block" if blocked else "decision.review",
        entity_kind="user",
        entity=item.user_id,
        severity=alerts_pb2.SEVERITY_HIGH if blocked else alerts_pb2.SEVERITY_MEDIUM,
        reasons=[reason.code for reason in decision.reasons],
        summary="An act was blocked" if blocked else "An act waits for review",
        traceparent=item.trace.traceparent if item.trace is not None else "",
        segment=decision.segment,
        regulations=sorted({finding.regulation for finding in findings})[:_MOST_REGULATIONS],
        ring_id=decision_pb2.Assessment.FromString(assessment).ring_id,
        likelihood=min(max(decision.numbers[decision_pb2.NUMBER_INDEX_VIOLATION_LIKELIHOOD], 0.0), 1.0)
        if scored
        else 0.0,
    )
    for kind, value in (("device", item.device_id), ("address", item.address), ("payment", item.payment)):
        if value:
            message.subjects.add(kind=kind, value=value)
    message.event_time.FromMilliseconds(item.event_ms)
    return message


def listing_alert(tenant: str, entry: lists_pb2.ListEntry) -> alerts_pb2.AlertMessage:
    """The message about an address that the mesh listed by itself. The alert is about the list entry, not a person."""
    blocked = entry.kind == lists_pb2.LIST_KIND_BLOCK
    message = alerts_pb2.AlertMessage(
        tenant=tenant,
        event_id=entry.reference,
        kind="address.blocked" if blocked else "address.limited",
        entity_kind="list_entry",
        entity=entry.entry_id,
        severity=alerts_pb2.SEVERITY_MEDIUM,
        reasons=[decision_pb2.REASON_CODE_CREDENTIAL_STUFFING],
        summary=(
            f"{'An address was blocked' if blocked else 'Accounts on a shared address are limited'} for a day; "
            f"seen there lately: {entry.affected.account_count} accounts, {entry.affected.watching} watching"
        ),
    )
    message.event_time.CopyFrom(entry.created_time)
    return message


def outage_alert(tenant: str, service: str, since_ms: int) -> alerts_pb2.AlertMessage:
    """The one message about a service that went away; its id is stable over the outage."""
    message = alerts_pb2.AlertMessage(
        tenant=tenant,
        event_id=f"degraded.{service}.{since_ms}",
        kind=f"degraded.{service}",
        entity_kind="service",
        entity=service,
        severity=alerts_pb2.SEVERITY_CRITICAL,
        summary=f"Decisions are made without {service}",
    )
    message.event_time.FromMilliseconds(since_ms)
    return message


def accounting_alert(tenant: str, now_ms: int) -> alerts_pb2.AlertMessage:
    """The message that a tenant's books do not balance; one an hour while it lasts."""
    message = alerts_pb2.AlertMessage(
        tenant=tenant,
        event_id=f"accounting.{now_ms // 3_600_000}",
        kind="duty.accounting",
        entity_kind="service",
        entity="ingest",
        severity=alerts_pb2.SEVERITY_HIGH,
        summary="The books do not balance: see GET /api/v1/accounting",
    )
    message.event_time.FromMilliseconds(now_ms)
    return message


def condition_alert(
    tenant: str, *, kind: str, entity_kind: str, entity: str, since_ms: int, severity: int, summary: str
) -> alerts_pb2.AlertMessage:
    """The one message about something that began and lasts; its id is stable while it does."""
    message = alerts_pb2.AlertMessage(
        tenant=tenant,
        event_id=f"{kind}.{entity}.{since_ms}",
        kind=kind,
        entity_kind=entity_kind,
        entity=entity,
        severity=severity,  # type: ignore[arg-type]
        summary=summary,
    )
    message.event_time.FromMilliseconds(since_ms)
    return message
