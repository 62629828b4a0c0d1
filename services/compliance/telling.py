"""Messages to alerts about what is due. They name requests and breaches, never people. Pure."""

from __future__ import annotations

from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1.records_pb2 import (
    Breach,
    NoticeDuty,
    NoticeRecipient,
    RetentionRun,
    SubjectRequest,
    SubjectRight,
)
from usher.decision.v1 import decision_pb2

D = decision_pb2


def request_overdue(request: SubjectRequest, now_ms: int) -> alerts_pb2.AlertMessage:
    """A request whose answer is past its due time."""
    duty = request.duties[0]
    what = _right(request)
    summary = f"{what} is overdue under {duty.regulation} ({duty.cite})"
    return _of_request(request, "request.overdue", D.REASON_CODE_REQUEST_OVERDUE, summary, now_ms, 3)


def request_due_soon(request: SubjectRequest, now_ms: int) -> alerts_pb2.AlertMessage:
    """A request whose answer is due within days."""
    summary = f"{_right(request)} is due on {request.due_time.ToJsonString()[:10]}"
    return _of_request(request, "request.due_soon", D.REASON_CODE_REQUEST_DUE_SOON, summary, now_ms, 2)


def erasure_stalled(request: SubjectRequest, now_ms: int) -> alerts_pb2.AlertMessage:
    """An erasure that does not come to its end."""
    summary = f"An erasure has not come to its end after {request.erasure.rounds} rounds"
    return _of_request(request, "request.stalled", D.REASON_CODE_ERASURE_STALLED, summary, now_ms, 3)


def notice_overdue(breach: Breach, duty: NoticeDuty, now_ms: int) -> alerts_pb2.AlertMessage:
    """A notice of a breach that is past its due time."""
    summary = f"The notice to {_recipient(duty)} is overdue under {duty.regulation} ({duty.cite})"
    return _of_breach(breach, duty, "breach.overdue", D.REASON_CODE_BREACH_NOTICE_OVERDUE, summary, now_ms)


def notice_due_soon(breach: Breach, duty: NoticeDuty, now_ms: int) -> alerts_pb2.AlertMessage:
    """A notice of a breach that is due soon."""
    when = duty.due_time.ToJsonString()[:16].replace("T", " ")
    summary = f"The notice to {_recipient(duty)} under {duty.regulation} is due by {when} UTC"
    return _of_breach(breach, duty, "breach.due_soon", D.REASON_CODE_BREACH_NOTICE_DUE_SOON, summary, now_ms)


def retention_failed(run: RetentionRun, now_ms: int) -> alerts_pb2.AlertMessage:
    """A run of the retention job that ended before its work was done. Failures of a tenant are one matter."""
    message = alerts_pb2.AlertMessage(
        tenant=run.tenant,
        event_id=f"{run.run_id}.duty.retention_failed",
        kind="duty.retention_failed",
        entity_kind="duty",
        entity="retention",
        severity=alerts_pb2.SEVERITY_HIGH,
        reasons=[D.REASON_CODE_RETENTION_FAILED],
        summary=f"The retention job failed ({run.failure}): data stay beyond their period until it is run again",
    )
    message.event_time.FromMilliseconds(now_ms)
    return message


def _of_request(
    request: SubjectRequest, kind: str, reason: int, summary: str, now_ms: int, severity: int
) -> alerts_pb2.AlertMessage:
    message = alerts_pb2.AlertMessage(
        tenant=request.tenant,
        event_id=f"{request.request_id}.{kind}",
        kind=kind,
        entity_kind="subject_request",
        entity=request.request_id,
        severity=severity,  # type: ignore[arg-type]
        reasons=[reason],
        summary=summary,
    )
    message.event_time.FromMilliseconds(now_ms)
    return message


def _of_breach(
    breach: Breach, duty: NoticeDuty, kind: str, reason: int, summary: str, now_ms: int
) -> alerts_pb2.AlertMessage:
    message = alerts_pb2.AlertMessage(
        tenant=breach.tenant,
        event_id=f"{breach.breach_id}.{duty.regulation}.{_recipient(duty)}.{duty.stage}.{kind}",
        kind=kind,
        entity_kind="breach",
        entity=breach.breach_id,
        severity=alerts_pb2.SEVERITY_CRITICAL,
        reasons=[reason],
        summary=summary,
    )
    message.event_time.FromMilliseconds(now_ms)
    return message


def _right(request: SubjectRequest) -> str:
    name = SubjectRight.Name(request.right).removeprefix("SUBJECT_RIGHT_").lower().replace("_", "-")
    return f"The {name} request"


def _recipient(duty: NoticeDuty) -> str:
    return NoticeRecipient.Name(duty.recipient).removeprefix("NOTICE_RECIPIENT_").lower()
