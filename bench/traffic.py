"""Non-repeating traffic for benchmarks: the simulator's viewers, days running as fast as the mesh decides.

Events are marked as an import, because their days lie behind: ages are then measured against the newest of them, and an
event is as ordinary as it was to its viewer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from simulator.traffic import generate
from usher.event.v1 import event_pb2

_DAY_MS = 86_400_000
_DAYS = 20


def events(users: int, seed: int, prefix: str) -> Iterator[bytes]:
    """Serialised events of `users` viewers in order of time, each id used once; about 21 a viewer and day."""
    start_ms = (time.time_ns() // 1_000_000 // _DAY_MS - _DAYS) * _DAY_MS
    for number, (event, _) in enumerate(generate(seed, users, _DAYS - 1, start_ms)):
        event.event_id = f"{prefix}-{number:09d}"
        event.origin = event_pb2.ORIGIN_IMPORT
        event.import_id = prefix
        event.intent_event_id = ""
        yield event.SerializeToString(deterministic=True)
