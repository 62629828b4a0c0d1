"""The shape in which decisions leave: one record a decision, as JSON or protobuf. Pure. docs/sinks.md is its manual."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from cli.sinks.encoding import Encoding
from services.common.render import decision_to_json
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import ingest_pb2


class Record(NamedTuple):
    """One decision on its way out."""

    message_id: str
    """The same at every repeat: a reader that keeps ids acts once."""
    decision: decision_pb2.Decision
    value: bytes

    @property
    def position(self) -> int:
        """Where it stands in the log of decisions."""
        return self.decision.position


def message_id(tenant: str, event_id: str) -> str:
    """The id of the message that tells the decision on an event: "dec_" and 32 hexadecimal digits."""
    return "dec_" + hashlib.sha256(f"{tenant}\0{event_id}\0decision".encode()).hexdigest()[:32]


def joint_id(records: Sequence[Record]) -> str:
    """The id of a call that carries several decisions; that of the decision where it is one."""
    if len(records) == 1:
        return records[0].message_id
    digest = hashlib.sha256("\0".join(one.message_id for one in records).encode()).hexdigest()
    return f"decs_{digest[:32]}"


def records_of(decisions: Sequence[decision_pb2.Decision], encoding: Encoding) -> list[Record]:
    """Writes decisions in order."""
    return [Record(message_id(one.tenant, one.event_id), one, _value(one, encoding)) for one in decisions]


def _value(decision: decision_pb2.Decision, encoding: Encoding) -> bytes:
    if encoding is Encoding.PROTOBUF:
        return decision.SerializeToString(deterministic=True)
    return orjson.dumps(decision_to_json(decision), option=orjson.OPT_NON_STR_KEYS)


def body_of(records: Sequence[Record], encoding: Encoding) -> bytes:
    """The body of a webhook's call: `{"type": "decisions.made", "data": [...]}`, or a WatchDecisionsResponse."""
    if encoding is Encoding.PROTOBUF:
        decisions = [one.decision for one in records]
        return ingest_pb2.WatchDecisionsResponse(decisions=decisions).SerializeToString(deterministic=True)
    return b'{"type":"decisions.made","data":[' + b",".join(one.value for one in records) + b"]}"
