"""Sends made-up JSON and made-up bytes through both edges of the door, and checks that each is accepted or refused once.

    python -m bench.fuzz [--seconds 600] [--seed N]

No process is started: the bytes go through the same functions as in the gateway (`event_json`) and in ingest (the parsing
of a call, the three stages of the check, the canonical form). It ends with status 1 at the first input that crashes one of
them, that ends in neither or both, whose canonical form changes when it is taken again, or that takes more than a second;
the input is printed in hexadecimal, so that it can become a test.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

import orjson
from google.protobuf.message import DecodeError

from services.common.errors import InvalidArgument
from services.common.event_json import parse_batch
from services.ingest import check
from services.ingest.ledger import failed_event
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

NOW_MS = 1_764_000_000_000
_SLOW_S = 1.0

_TEXTS = (
    "",
    "evt_1",
    "../../etc/passwd",
    "' or 1=1 --",
    "<script>alert(1)</script>",
    "%252e%252e%252f",
    "{{7*7}}",
    "\u0000",
    "\ud7ff\ue000",
    "\ufdd0",
    "e\u0301",
    "\u202e",
    "a" * 300,
    "&" * 50,
    "/*" * 40,
    "\\u005c" * 20,
    "NL",
    "203.0.113.10",
    "2025-11-24T16:00:00Z",
    "0x2e0x2e0x2f",
    "１２３",
)
_NAMES = (
    "event_id", "user_id", "device_id", "content_id", "event_type", "timestamp", "event_time", "region", "is_eu",
    "has_consent", "ip_address", "subscription_plan", "error_code", "extra_metadata", "metadata", "phase", "origin",
    "import_id", "user_agent", "session_id", "time_zone", "account", "privacy", "data_volume_bytes", "other",
)  # fmt: skip
_GOOD = {
    "event_id": "evt_1",
    "user_id": "user_42",
    "device_id": "tv_lg_abc123",
    "event_type": "PLAY",
    "timestamp": "2025-11-24T16:00:00Z",
    "region": "NL",
    "ip_address": "203.0.113.10",
}


class BrokenPromiseError(Exception):
    """An input that ended neither accepted nor refused, or both."""


def end_of_json(body: bytes) -> str:
    """How a body of the HTTP edge ends: "refused", or the endings of its events, sorted."""
    try:
        batch = parse_batch(body)
    except InvalidArgument:
        return "refused"
    return "+".join(sorted({end_of_event(event) for event in batch.events}))


def end_of_bytes(message: bytes) -> str:
    """How the bytes of a call end: "refused", or the endings of its events, sorted."""
    try:
        call = ingest_pb2.EventBatch.FromString(message)
        events = [event_pb2.Event.FromString(one) for one in call.events]
    except DecodeError:
        return "refused"
    if not check.valid_tenant(call.tenant) or not events:
        return "refused"
    return "+".join(sorted({end_of_event(event) for event in events}))


def end_of_event(event: event_pb2.Event) -> str:
    """ "decidable", or "failed": kept with every error. Raises BrokenPromiseError."""
    found = check.examine(event, NOW_MS)
    payload = event.SerializeToString(deterministic=True)
    if found.violations:
        kept = failed_event("dev", event.event_id, payload, found.violations, NOW_MS)
        if not (kept.failure.reason and kept.event_id and kept.failure.violations):
            raise BrokenPromiseError("a failed event without reason, id or errors")
        if ingest_pb2.FailedEvent.FromString(kept.SerializeToString()) != kept:
            raise BrokenPromiseError("a failed event that cannot be kept")
        return "failed"
    check.normalise(event)
    once = event.SerializeToString(deterministic=True)
    check.normalise(event)
    if event.SerializeToString(deterministic=True) != once:
        raise BrokenPromiseError("the canonical form is none: it changes when it is taken again")
    if check.examine(event, NOW_MS).violations:
        raise BrokenPromiseError("what passed the check does not pass it in canonical form")
    return "decidable"


def made_up_json(rng: random.Random) -> bytes:
    """A body: an event with some fields replaced, several of them, anything else, or bytes changed at random."""
    event = {**_GOOD}
    for _ in range(rng.randrange(4)):
        event[rng.choice(_NAMES)] = _value(rng, 4)
    body: object = event
    shape = rng.randrange(6)
    if shape == 0:
        body = [event, _value(rng, 3)]
    elif shape == 1:
        body = {"events": [event] * rng.randrange(3)}
    elif shape == 2:
        body = _value(rng, 10)
    data = orjson.dumps(body)
    return _changed(rng, data) if rng.random() < 0.3 else data


def made_up_bytes(rng: random.Random) -> bytes:
    """A call: events with fields of any content, some with bytes changed, or nothing but noise."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(200))
    batch = ingest_pb2.EventBatch(tenant=rng.choice(("dev", "dev", "Dev", "")))
    for _ in range(rng.randrange(1, 4)):
        event = event_pb2.Event(
            event_id="evt_1",
            user_id="u",
            device_id="d",
            event_type="play",
            region="NL",
            ip_address="203.0.113.10",
        )
        event.event_time.seconds = NOW_MS // 1000
        for _ in range(rng.randrange(4)):
            _set_any(rng, event)
        data = event.SerializeToString()
        batch.events.append(_changed(rng, data) if rng.random() < 0.3 else data)
    data = batch.SerializeToString()
    return _changed(rng, data) if rng.random() < 0.1 else data


def run(seconds: float, seed: int, most: int | None = None) -> Counter[str]:
    """Endings by edge, for so long or so many inputs. Raises what an input raised, with the input in its notes."""
    rng = random.Random(seed)
    ends: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until and (most is None or ends.total() < most):
        name, make, end = rng.choice(
            (("JSON", made_up_json, end_of_json), ("bytes", made_up_bytes, end_of_bytes))
        )
        content = make(rng)
        start = time.monotonic()
        try:
            ends[f"{name} {end(content) or 'empty'}"] += 1
            if most is None and time.monotonic() - start > _SLOW_S:
                raise BrokenPromiseError("it took more than a second")
        except Exception as error:
            error.add_note(f"{name}, seed {seed}: {content.hex()}")
            raise
    return ends


def _value(rng: random.Random, depth: int) -> object:
    kind = rng.randrange(9 if depth else 6)
    if kind < 2:
        return rng.choice(_TEXTS)
    if kind == 2:
        return "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(12)))
    if kind == 3:
        return rng.choice((0, 1, -1, 2**53, 2**63 - 1, 1.5, 1e308, True, False, None))
    if kind < 6:
        return rng.randrange(-1000, 1000)
    if kind == 6:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_TEXTS + _NAMES): _value(rng, depth - 1) for _ in range(rng.randrange(4))}


def _set_any(rng: random.Random, message: object) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)  # type: ignore[attr-defined]
    if field.type == field.TYPE_MESSAGE:
        inner = getattr(message, field.name)
        _set_any(rng, inner.add() if field.is_repeated else inner)
        return
    value: object
    if field.type == field.TYPE_STRING:
        value = rng.choice(_TEXTS)
    elif field.type == field.TYPE_BYTES:
        value = orjson.dumps(_value(rng, 9)) if rng.random() < 0.7 else rng.randbytes(30)
    elif field.type == field.TYPE_BOOL:
        value = True
    elif field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
        value = rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf")))
    else:
        value = rng.choice((0, 1, 2, 100, 2**31 - 1))
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def _changed(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        if changed:
            place = rng.randrange(len(changed))
            if rng.random() < 0.5:
                changed[place] = rng.randrange(256)
            else:
                del changed[place : place + rng.randrange(1, 9)]
    return bytes(changed)


def main(arguments: Sequence[str]) -> int:
    """Runs, and prints how many inputs ended how."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fuzz", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    ends = run(given.seconds, given.seed)
    for end, number in sorted(ends.items()):
        print(f"{number:>10}  {end}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
