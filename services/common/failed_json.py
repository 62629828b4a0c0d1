"""Failed events as JSON, for the gateway and the command."""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf.message import DecodeError

from services.common.event_json import event_to_json, time_to_json
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

_STAGES = {number: name.removeprefix("CHECK_STAGE_").lower() for name, number in event_pb2.CheckStage.items()}


def stage_name(stage: int) -> str | None:
    """The stage of the check that found an error: "schema", "security" or "sanitising"; None where it was none of them."""
    return _STAGES.get(stage) if stage else None


def failed_to_json(failed: ingest_pb2.FailedEvent) -> dict[str, Any]:
    """A failed event with every error; with `event`, the event or the sender's own text, where its payload is there."""
    shown: dict[str, Any] = {
        "failed_id": failed.failed_id,
        "event_id": failed.event_id,
        "failed_at": time_to_json(failed.failed_time),
        "expires_at": time_to_json(failed.expire_time) if failed.HasField("expire_time") else None,
        "component": failed.component,
        "component_version": failed.component_version,
        **failure_to_json(failed.failure),
        "replayed": failed.replayed,
        "replayed_at": time_to_json(failed.replayed_time) if failed.HasField("replayed_time") else None,
        "replays": failed.replays,
        "replay_failure": failure_to_json(failed.replay_failure)
        if failed.HasField("replay_failure")
        else None,
        "encrypted_under": failed.key_id or None,
        "locked": failed.locked,
    }
    if failed.payload:
        shown["event"] = _payload_to_json(failed.payload)
    return shown


def failure_to_json(failure: ingest_pb2.Failure) -> dict[str, Any]:
    """Reason, message and every violation with the stage that found it."""
    return {
        "reason": failure.reason,
        "message": failure.message,
        "errors": [
            {
                "field": one.field,
                "reason": one.reason,
                "message": one.message,
                "stage": stage_name(one.stage),
            }
            for one in failure.violations
        ],
    }


def _payload_to_json(payload: bytes) -> Any:
    try:
        event = event_pb2.Event.FromString(payload)
    except DecodeError:
        return {"unreadable": payload.hex()}
    if not event.HasField("unmapped"):
        return event_to_json(event)
    try:
        return orjson.loads(event.unmapped.payload)
    except orjson.JSONDecodeError:
        return event.unmapped.payload.decode("utf-8", "replace")
