# ruff: noqa: N818 - the types carry the names of the status codes they stand for
"""Typed errors, the one table from type to gRPC status code, and their form on the wire.

A handler raises one of these; the server's error layer turns it into a status with `google.rpc` details
(`ErrorInfo`, `BadRequest`, `RetryInfo`) in the trailer `grpc-status-details-bin`; the client of the next hop
raises the same type again. Anything else that escapes a handler becomes `Internal` with a generic text.

Reasons are UPPER_SNAKE and stable: programs branch on them. Messages are for people: they say what to do.
Neither holds personal data. See AIP-193 (https://google.aip.dev/193).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "usher"
DETAILS_KEY = "grpc-status-details-bin"

# gRPC limits all metadata of an answer to 8 KiB by default and replaces the whole status when it is larger.
# Half of that leaves room for the percent-encoded message and the trace trailers.
MAX_DETAILS_BYTES = 4096
MAX_MESSAGE_CHARS = 1024
MAX_METADATA_CHARS = 256

_REASON = re.compile(r"[A-Z][A-Z0-9_:]{0,62}")


class FieldViolation(NamedTuple):
    """One thing wrong with one field of a request."""

    field: str
    """Path of the field from the request, such as `events[3].client_ip`."""
    reason: str
    """UPPER_SNAKE, such as `NOT_AN_ADDRESS`."""
    message: str
    """What is wrong and what would be right, for a person. Never the value itself when it may be personal."""


class UsherError(Exception):
    """An error whose type, reason and details cross every hop intact.

    `reason` is UPPER_SNAKE, at most 63 characters. `metadata` holds the values the message speaks of.
    `retry_after` is in seconds, 0 or more: when the same call may succeed.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        if not _REASON.fullmatch(reason):
            raise ValueError(f"an error's reason is UPPER_SNAKE of at most 63 characters, not {reason!r}")
        if retry_after is not None and not (math.isfinite(retry_after) and retry_after >= 0):
            raise ValueError(f"retry_after is a finite number of seconds from 0, not {retry_after!r}")
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations: tuple[FieldViolation, ...] = tuple(violations)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r}, {self.message!r})"


class InvalidArgument(UsherError):
    """The request is wrong whatever the state of the service; `violations` name the fields."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(UsherError):
    """What the request names does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class Gone(UsherError):
    """What the request names existed and was erased. On the wire NOT_FOUND with the reason GONE."""

    code = grpc.StatusCode.NOT_FOUND

    def __init__(
        self,
        reason: str = "GONE",
        message: str = "it was erased",
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        _require_reason(type(self), reason, "GONE")
        super().__init__(reason, message, metadata=metadata, violations=violations, retry_after=retry_after)


class Conflict(UsherError):
    """The same identity exists already with another content."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(UsherError):
    """The request is right, but the state of the service does not allow it; repeating it changes nothing."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class PolicySetUnknown(FailedPrecondition):
    """The service does not hold the policy set that the request pins; it loads it, then the call may be
    repeated.
    """

    def __init__(
        self,
        reason: str = "POLICY_SET_UNKNOWN",
        message: str = "the policy set is not known here yet",
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        _require_reason(type(self), reason, "POLICY_SET_UNKNOWN")
        super().__init__(reason, message, metadata=metadata, violations=violations, retry_after=retry_after)


class StateBehind(FailedPrecondition):
    """The service lost recent state. `metadata["applied_through"]` says how far it has applied the stream."""

    def __init__(
        self,
        reason: str = "STATE_BEHIND",
        message: str = "state was lost and must be restored first",
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        _require_reason(type(self), reason, "STATE_BEHIND")
        if "applied_through" not in (metadata or {}):
            raise ValueError("StateBehind needs metadata['applied_through']: from where to restore")
        super().__init__(reason, message, metadata=metadata, violations=violations, retry_after=retry_after)

    @property
    def applied_through(self) -> str:
        """How far the stream is applied, as the service states it."""
        return self.metadata["applied_through"]


class Unauthenticated(UsherError):
    """The caller did not show who it is."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(UsherError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(UsherError):
    """A stated limit was reached: a size, a rate, a queue. `retry_after` says when to come back, where it
    helps.
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(UsherError):
    """The service cannot be reached or cannot work now; an idempotent call may be repeated."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(UsherError):
    """The time given to the call ran out. What it did or did not do is unknown to the caller."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Aborted(UsherError):
    """The operation met a concurrent one and lost; repeat it from its start."""

    code = grpc.StatusCode.ABORTED


class Internal(UsherError):
    """A defect of the service.

    The text says nothing; the full detail is in the service's log under the trace id.
    """

    code = grpc.StatusCode.INTERNAL


STATUS_CODES: dict[type[UsherError], grpc.StatusCode] = {
    kind: kind.code
    for kind in (
        InvalidArgument,
        NotFound,
        Gone,
        Conflict,
        FailedPrecondition,
        PolicySetUnknown,
        StateBehind,
        Unauthenticated,
        PermissionDenied,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Aborted,
        Internal,
    )
}
"""The one table: type of error -> status code on the wire."""

SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes that speak of us and not of the caller: they are logged as warnings and their traces are kept."""

# A code several types share belongs to the most general of them; the others are told by their reason.
_BY_CODE: dict[grpc.StatusCode, type[UsherError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    # Not cancelled by us: a server that stops cancels what outlives its grace.
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.ABORTED: Aborted,
}
_BY_CODE_AND_REASON: dict[tuple[grpc.StatusCode, str], type[UsherError]] = {
    (grpc.StatusCode.NOT_FOUND, "GONE"): Gone,
    (grpc.StatusCode.FAILED_PRECONDITION, "POLICY_SET_UNKNOWN"): PolicySetUnknown,
    (grpc.StatusCode.FAILED_PRECONDITION, "STATE_BEHIND"): StateBehind,
}


def status_details(error: UsherError) -> bytes:
    """Returns the serialised `google.rpc.Status` of an error, at most MAX_DETAILS_BYTES long.

    Violations that do not fit are left out and counted in the ErrorInfo's metadata as `violations_omitted`.
    """
    kept = len(error.violations)
    while True:
        encoded = _encode(error, kept)
        if len(encoded) <= MAX_DETAILS_BYTES or kept == 0:
            break
        kept //= 2
    if len(encoded) > MAX_DETAILS_BYTES:
        # The metadata alone is too large: keep what programs branch on.
        bare = type(error).__new__(type(error))
        UsherError.__init__(
            bare,
            error.reason,
            error.message,
            metadata={"metadata_omitted": str(len(error.metadata))},
            retry_after=error.retry_after,
        )
        encoded = _encode(bare, 0)
    return encoded


def from_rpc_error(error: grpc.RpcError, *, method: str = "", seconds: float | None = None) -> UsherError:
    """Returns the typed error a failed call stands for; `__cause__` is the original.

    `method` (full name) and `seconds` (how long the call took) go into the text of errors that the transport
    itself made, so that a deadline says which hop was slow. The transport's own text (addresses, sockets)
    stays in the cause: it is for the log, not for the caller's caller.
    """
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    typed = _decode(error, code) or _from_code(code, method, seconds)
    typed.__cause__ = error
    return typed


def clip(text: str, limit: int) -> str:
    """Returns the text, shortened to `limit` characters with a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _require_reason(kind: type[UsherError], reason: str, required: str) -> None:
    # The reason is how the type is recognised on the other side.
    if reason != required:
        raise ValueError(f"{kind.__name__} has the reason {required}, not {reason!r}")


def _encode(error: UsherError, kept: int) -> bytes:
    omitted = len(error.violations) - kept
    metadata = {key: clip(value, MAX_METADATA_CHARS) for key, value in error.metadata.items()}
    if omitted:
        metadata["violations_omitted"] = str(omitted)
    message = clip(error.message, MAX_MESSAGE_CHARS)
    status = status_pb2.Status(code=error.code.value[0], message=message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    )
    if kept:
        bad_request = error_details_pb2.BadRequest()
        for violation in error.violations[:kept]:
            bad_request.field_violations.add(
                field=clip(violation.field, MAX_METADATA_CHARS),
                reason=violation.reason,
                description=clip(violation.message, MAX_METADATA_CHARS),
            )
        status.details.add().Pack(bad_request)
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status.SerializeToString()


def _trailer(error: grpc.RpcError) -> bytes | None:
    metadata = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    for key, value in metadata or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return value
    return None


def _decode(error: grpc.RpcError, code: grpc.StatusCode) -> UsherError | None:
    encoded = _trailer(error)
    if encoded is None:
        return None
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after: float | None = None
    try:
        status = status_pb2.Status.FromString(encoded)
        for detail in status.details:
            if detail.Unpack(info) or detail.Unpack(bad_request):
                continue
            if detail.Unpack(retry):
                retry_after = max(0.0, retry.retry_delay.ToNanoseconds() / 1e9)
    except DecodeError:
        return None
    if info.domain != DOMAIN or not _REASON.fullmatch(info.reason):
        return None
    kind = _BY_CODE_AND_REASON.get((code, info.reason)) or _BY_CODE.get(code, Internal)
    typed = kind.__new__(kind)
    # Past the subclasses' own checks: an answer of another version is taken as it is.
    UsherError.__init__(
        typed,
        info.reason,
        status.message,
        metadata=dict(info.metadata),
        violations=[
            FieldViolation(item.field, item.reason, item.description) for item in bad_request.field_violations
        ],
        retry_after=retry_after,
    )
    if isinstance(typed, StateBehind):
        typed.metadata.setdefault("applied_through", "")
    return typed


def _from_code(code: grpc.StatusCode, method: str, seconds: float | None) -> UsherError:
    kind = _BY_CODE.get(code, Internal)
    called = method.lstrip("/") or "the call"
    metadata = {"method": called} if method else {}
    if kind is DeadlineExceeded:
        took = "" if seconds is None else f" after {seconds * 1000:.0f} ms"
        if seconds is not None:
            metadata["elapsed_ms"] = f"{seconds * 1000:.0f}"
        return DeadlineExceeded("DEADLINE_EXCEEDED", f"{called} had not answered{took}", metadata=metadata)
    texts = {
        Unavailable: "could not be reached; try again",
        ResourceExhausted: "refused the call: a limit of size or concurrency was reached",
        Internal: f"failed with {code.name}",
    }
    return kind(code.name, f"{called} {texts.get(kind, f'answered {code.name}')}", metadata=metadata)
