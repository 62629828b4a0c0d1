"""Errors as RFC 9457 problems: `application/problem+json`, with a reason that programs branch on.

docs/errors.md lists every reason with its status and advice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from starlette.responses import Response

from services.common import errors
from services.common.failed_json import stage_name
from services.common.telemetry import current_trace

MEDIA_TYPE = "application/problem+json"

STATUS_OF_ERROR: dict[type[errors.UsherError], HTTPStatus] = {
    errors.InvalidArgument: HTTPStatus.BAD_REQUEST,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Gone: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.FailedPrecondition: HTTPStatus.CONFLICT,
    # A service of the mesh is catching up: the same request succeeds a moment later.
    errors.PolicySetUnknown: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StateBehind: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    errors.ResourceExhausted: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.Aborted: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Internal: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Type of error -> HTTP status, where the reason does not say it more exactly."""

STATUS_OF_REASON: dict[str, HTTPStatus] = {
    "BODY_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "TOO_MANY_EVENTS": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "EVENT_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "MESSAGE_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "MEDIA_TYPE_UNSUPPORTED": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "ENVELOPE_INVALID": HTTPStatus.UNPROCESSABLE_ENTITY,
    "NO_EVENTS": HTTPStatus.UNPROCESSABLE_ENTITY,
    "BODY_TIMEOUT": HTTPStatus.REQUEST_TIMEOUT,
    "HOST_NOT_ALLOWED": HTTPStatus.MISDIRECTED_REQUEST,
}
"""Reason -> HTTP status, where it says more than the type of error."""

# Where a service names no delay: a queue drains, and a mesh is up again, within seconds.
_RETRY_AFTER_SECONDS = 1


class Violation(Protocol):
    """What `errors.FieldViolation` and the contract's message have in common."""

    @property
    def field(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...


def violations_to_json(violations: Iterable[Violation]) -> list[dict[str, str]]:
    """Returns violations as the `errors` of a problem; those of an event name the stage of the check that found them."""
    listed = []
    for item in violations:
        one = {"field": item.field, "reason": item.reason, "message": item.message}
        stage = stage_name(getattr(item, "stage", 0))
        listed.append(one if stage is None else {**one, "stage": stage})
    return listed


def problem(
    status: int,
    reason: str,
    detail: str,
    *,
    violations: Iterable[Violation] = (),
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Returns a problem. `members` stand beside the fixed ones; those that are None or empty are left out.

    `retry_after` (seconds) becomes the header Retry-After in whole seconds, rounded up.
    """
    body: dict[str, Any] = {
        "type": f"urn:usher:error:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "reason": reason,
    }
    body |= {name: value for name, value in members.items() if value not in (None, "", {}, [])}
    listed = violations_to_json(violations)
    if listed:
        body["errors"] = listed
    trace = current_trace()
    if trace is not None:
        body["trace_id"] = trace.trace_id_hex
    sent = dict(headers or {})
    if retry_after is not None:
        sent["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return Response(orjson.dumps(body), status_code=int(status), media_type=MEDIA_TYPE, headers=sent)


def problem_of(error: errors.UsherError) -> Response:
    """Returns the problem of a typed error."""
    status = STATUS_OF_REASON.get(error.reason, STATUS_OF_ERROR[type(error)])
    if error.violations and status == HTTPStatus.BAD_REQUEST:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    retry_after = error.retry_after
    if retry_after is None and status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        retry_after = _RETRY_AFTER_SECONDS
    return problem(
        status,
        error.reason,
        error.message,
        violations=error.violations,
        retry_after=retry_after,
        metadata=error.metadata,
    )
