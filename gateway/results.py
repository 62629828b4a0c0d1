"""What became of events (`usher.ingest.v1.EventResult`), as JSON and HTTP status codes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from gateway.problems import problem, violations_to_json
from services.common.errors import Internal
from services.common.render import decision_to_json
from usher.ingest.v1 import ingest_pb2

_ACCEPTED = ingest_pb2.EVENT_STATUS_ACCEPTED
_DECIDED = ingest_pb2.EVENT_STATUS_DECIDED
_DUPLICATE = ingest_pb2.EVENT_STATUS_DUPLICATE
_CONFLICT = ingest_pb2.EVENT_STATUS_CONFLICT
_FAILED = ingest_pb2.EVENT_STATUS_FAILED
_REFUSED = ingest_pb2.EVENT_STATUS_REFUSED

_NAMES = {
    _ACCEPTED: "queued",
    _DECIDED: "decided",
    _DUPLICATE: "duplicate",
    _CONFLICT: "conflict",
    _FAILED: "failed",
    _REFUSED: "refused",
}


def submitted(result: ingest_pb2.EventResult) -> Response:
    """Returns the answer to one submitted event: 202, or a problem."""
    if result.status in (_ACCEPTED, _DECIDED, _DUPLICATE):
        return json_response(_queued(result), HTTPStatus.ACCEPTED)
    return _problem(result)


def submitted_batch(results: list[ingest_pb2.EventResult]) -> Response:
    """Returns the answer to several submitted events: 202 when all are in, else 207."""
    items = [
        _queued(item) if item.status in (_ACCEPTED, _DECIDED, _DUPLICATE) else _not_done(item)
        for item in results
    ]
    whole = all(item.status in (_ACCEPTED, _DECIDED, _DUPLICATE) for item in results)
    return json_response(
        {"results": items}, HTTPStatus.ACCEPTED if whole else HTTPStatus.MULTI_STATUS, retry_after(results)
    )


def decided(result: ingest_pb2.EventResult) -> Response:
    """Returns the answer to one event to be decided: its decision, or a problem."""
    if result.status in (_DECIDED, _DUPLICATE):
        return json_response(_decision(result))
    return _problem(result)


def decided_batch(results: list[ingest_pb2.EventResult]) -> Response:
    """Returns the answer to several events to be decided: 200 when all are decided, else 207."""
    items = [
        _decision(item) if item.status in (_DECIDED, _DUPLICATE) else _not_done(item) for item in results
    ]
    whole = all(item.status in (_DECIDED, _DUPLICATE) for item in results)
    return json_response(
        {"decisions": items}, HTTPStatus.OK if whole else HTTPStatus.MULTI_STATUS, retry_after(results)
    )


def json_response(body: Any, status: int = HTTPStatus.OK, retry_after: int | None = None) -> Response:
    """Returns a JSON answer; `retry_after` in seconds becomes the header."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(
        orjson.dumps(body), status_code=int(status), media_type="application/json", headers=headers
    )


def retry_after(results: list[ingest_pb2.EventResult]) -> int | None:
    """Returns the longest delay that a refused event asks for, in whole seconds, rounded up; None without any."""
    longest = max((item.failure.retry_after_ms for item in results), default=0)
    return -(-longest // 1000) if longest else None


def _queued(result: ingest_pb2.EventResult) -> dict[str, Any]:
    item: dict[str, Any] = {"status": "queued", "event_id": result.event_id}
    if result.status == _DUPLICATE:
        # Sent again after a lost answer: to the sender it is in, as the first time.
        item["duplicate"] = True
    return item


def _decision(result: ingest_pb2.EventResult) -> dict[str, Any]:
    if not result.HasField("decision"):
        raise Internal(
            "INTERNAL", "internal error", metadata={"cause": "a decided event came without decision"}
        )
    return {"status": _NAMES[result.status], **decision_to_json(result.decision)}


def _not_done(result: ingest_pb2.EventResult) -> dict[str, Any]:
    _require_known(result)
    failure = result.failure
    item: dict[str, Any] = {
        "event_id": result.event_id,
        "status": _NAMES[result.status],
        "reason": failure.reason,
        "message": failure.message,
        "failed_id": failure.failed_id or None,
        "violations": violations_to_json(failure.violations),
    }
    if failure.retry_after_ms:
        item["retry_after_ms"] = failure.retry_after_ms
    return item


def _problem(result: ingest_pb2.EventResult) -> Response:
    _require_known(result)
    failure = result.failure
    if result.status == _CONFLICT:
        status = HTTPStatus.CONFLICT
    elif result.status == _REFUSED and (failure.retry_after_ms or failure.reason == "QUEUE_FULL"):
        status = HTTPStatus.TOO_MANY_REQUESTS
    elif failure.reason == "GONE":
        status = HTTPStatus.GONE
    else:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problem(
        status,
        failure.reason,
        failure.message,
        violations=failure.violations,
        # Seconds; below one the header says 1.
        retry_after=failure.retry_after_ms / 1000 if status == HTTPStatus.TOO_MANY_REQUESTS else None,
        event_id=result.event_id,
        failed_id=failure.failed_id,
        outcome_of_event=_NAMES[result.status],
    )


def _require_known(result: ingest_pb2.EventResult) -> None:
    if result.status not in (_CONFLICT, _FAILED, _REFUSED):
        raise Internal(
            "INTERNAL", "internal error", metadata={"cause": f"ingest answered status {result.status} here"}
        )
