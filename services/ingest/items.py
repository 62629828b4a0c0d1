"""An event on its way through the pipeline."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from services.common.telemetry import TraceContext
from usher.event.v1 import event_pb2

LATE = 1 << event_pb2.ITEM_FLAG_LATE
OLD = 1 << event_pb2.ITEM_FLAG_OLD
IMPORT = 1 << event_pb2.ITEM_FLAG_IMPORT
FOLD_ONLY = 1 << event_pb2.ITEM_FLAG_FOLD_ONLY
NO_FRAUD = 1 << event_pb2.ITEM_FLAG_NO_FRAUD
NO_COMPLIANCE = 1 << event_pb2.ITEM_FLAG_NO_COMPLIANCE
ATTACK_MARKED = 1 << event_pb2.ITEM_FLAG_ATTACK_MARKED
SUPPRESSED = 1 << event_pb2.ITEM_FLAG_SUPPRESSED


class Call:
    """The answers of one call at the Decide door, in the order of its events."""

    __slots__ = ("_left", "done", "results")

    def __init__(self, number: int) -> None:
        self.results = [b""] * number
        """Serialised EventResults; empty where one is still to come."""
        self._left = number
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once every result is there."""
        if not number:
            self.done.set_result(None)

    def give(self, index: int, result: bytes) -> None:
        """Gives one result; the first one given counts."""
        if self.results[index]:
            return
        self.results[index] = result
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)


class Reply(NamedTuple):
    """Where the result of one event belongs."""

    call: Call
    position: int

    def give(self, result: bytes) -> None:
        """Answers with a serialised EventResult."""
        self.call.give(self.position, result)

    @property
    def given(self) -> bool:
        """Whether the event has been answered."""
        return bool(self.call.results[self.position])


class Item:
    """One accepted event, from the door to its answer."""

    __slots__ = (
        "address",
        "answer",
        "deadline",
        "device",
        "device_id",
        "event_class",
        "event_id",
        "event_ms",
        "fingerprint",
        "flags",
        "followers",
        "from_inbox",
        "import_id",
        "kept",
        "key",
        "payload",
        "payment",
        "replay_of",
        "sent",
        "started",
        "tenant",
        "trace",
        "user_id",
        "user_key",
    )

    def __init__(
        self,
        *,
        tenant: str,
        event_id: str,
        user_id: str,
        key: bytes,
        user_key: bytes,
        address: str,
        device: bytes,
        device_id: str,
        payment: str,
        fingerprint: bytes,
        payload: bytes,
        event_ms: int,
        event_class: int,
        flags: int,
        import_id: str,
        started: float,
        deadline: float | None,
        trace: TraceContext | None,
        answer: Reply | None,
        replay_of: str = "",
    ) -> None:
        self.tenant = tenant
        self.event_id = event_id
        self.user_id = user_id
        self.key = key
        self.user_key = user_key
        self.address = address
        """The IP address, well formed."""
        self.device = device
        self.device_id = device_id
        self.payment = payment
        """Fingerprint of the payment instrument; empty where the event has none."""
        self.fingerprint = fingerprint
        self.sent = payload
        """The event as its sender told it, sanitised and serialised."""
        self.payload = payload
        """The same with the kept facts of its account: what is decided about and stored."""
        self.event_ms = event_ms
        self.event_class = event_class
        self.flags = flags
        self.import_id = import_id
        self.started = started
        """time.perf_counter() at the door."""
        self.deadline = deadline
        """time.monotonic() by which its caller wants an answer."""
        self.trace = trace
        self.answer = answer
        """Where its result belongs; None at the Submit door."""
        self.replay_of = replay_of
        """Id of the failed event that this is a replay of; it was received and accepted then."""
        self.from_inbox = False
        self.kept = False
        """Whether its trace is worth keeping: someone will look at the decision."""
        self.followers: list[Item] = []
        """Repeats that came while this one was on its way."""
