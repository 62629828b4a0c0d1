"""The live page, and what flows past it: decisions as server-sent events, summed up for people who watch.

The feed tells exact counts and the newest decisions of each interval. Whoever needs every decision reads
`usher.ingest.v1.IngestService/WatchDecisions`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.common.errors import FieldViolation, Internal, InvalidArgument, UsherError
from services.common.render import decision_to_json, outcome_name
from usher.decision.v1 import decision_pb2

INTERVAL_SECONDS = 0.25
"""Least time between two pieces of the feed."""
LATEST = 64
"""Decisions that a piece holds at most: the newest. The others are counted in `left_out`."""
LARGEST_PAGE = 200
PAGE = 50
OUTCOMES = {outcome_name(number): number for number in decision_pb2.Outcome.values() if number}

PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
"""Scripts and styles come from files of this server; text cannot become markup (Trusted Types)."""

_PAGE = Path(__file__).parent / "live.html"
_LARGEST_POSITION = (1 << 63) - 1
_SERVICES = {number: name.removeprefix("SERVICE_").lower() for name, number in decision_pb2.Service.items()}


def page() -> Response:
    """Returns the live page."""
    return Response(_PAGE.read_bytes(), media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)


def whole_number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Returns a parameter as a whole number of `least` to `most`.

    Raises InvalidArgument(PARAMETER_INVALID).
    """
    given = query.get(name)
    if given is None:
        return default
    digits = given.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(given) <= most:
        return int(given)
    raise parameter_invalid(name, f"{name} is a whole number, {least} to {most}")


def text(query: Mapping[str, str], name: str) -> str:
    """Returns a parameter as text of at most 255 bytes, empty where it is absent.

    Raises InvalidArgument(PARAMETER_INVALID).
    """
    value = query.get(name, "")
    if len(value.encode("utf-8", "replace")) > 255:
        raise parameter_invalid(name, f"{name} has at most 255 bytes of UTF-8")
    return value


def yes_or_no(query: Mapping[str, str], name: str) -> bool:
    """Returns a parameter that is true or false, false where it is absent.

    Raises InvalidArgument(PARAMETER_INVALID).
    """
    given = query.get(name, "false")
    if given not in ("true", "false"):
        raise parameter_invalid(name, f"{name} is true or false")
    return given == "true"


def known_parameters(query: Iterable[tuple[str, str]], *names: str) -> dict[str, str]:
    """Returns the parameters of a query by name.

    Raises InvalidArgument(PARAMETER_INVALID) for a name that is not listed, or comes twice.
    """
    found: dict[str, str] = {}
    for name, value in query:
        if name not in names:
            raise parameter_invalid("query", f"the parameters here are {', '.join(names) or 'none'}")
        if name in found:
            raise parameter_invalid(name, f"send {name} once")
        found[name] = value
    return found


def minimum_outcome(query: Mapping[str, str]) -> int:
    """Returns the number of the least strict outcome asked for, 0 where none is.

    Raises InvalidArgument(PARAMETER_INVALID).
    """
    name = query.get("minimum_outcome")
    if name is None:
        return 0
    if name not in OUTCOMES:
        raise parameter_invalid("minimum_outcome", f"minimum_outcome is one of {', '.join(OUTCOMES)}")
    return OUTCOMES[name]


def start_position(query: Mapping[str, str], last_event_id: str | None) -> int:
    """Returns the position after which a feed begins, -1 for new decisions only.

    A browser that reconnects sends the last id that it saw; that one counts. Raises
    InvalidArgument(PARAMETER_INVALID).
    """
    if last_event_id:
        query = {"after": last_event_id}
    return whole_number(query, "after", -1, -1, _LARGEST_POSITION)


def parameter_invalid(name: str, message: str) -> InvalidArgument:
    """Returns the error of a parameter of a query."""
    return InvalidArgument(
        "PARAMETER_INVALID", message, violations=[FieldViolation(name, "PARAMETER_INVALID", message)]
    )


class Stream(StreamingResponse):
    """Server-sent events. `ended` is called at the end, however it comes."""

    def __init__(self, pieces: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(pieces, media_type="text/event-stream")
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


class Digest:
    """Decisions since the last piece of the feed: counts of all of them, and the newest as they are."""

    def __init__(self) -> None:
        self._latest: deque[decision_pb2.Decision] = deque(maxlen=LATEST)
        self._clear()

    def _clear(self) -> None:
        self._latest.clear()
        self._outcomes: Counter[str] = Counter()
        self._degraded: Counter[str] = Counter()
        self._decided = 0

    @property
    def empty(self) -> bool:
        return self._decided == 0

    @property
    def small(self) -> bool:
        return len(self._latest) <= 16

    def add(self, decisions: Iterable[decision_pb2.Decision]) -> None:
        """Takes decisions in order of position."""
        for decision in decisions:
            self._decided += 1
            self._outcomes[outcome_name(decision.outcome)] += 1
            for service in decision.degraded:
                self._degraded[_SERVICES.get(service, str(service))] += 1
            self._latest.append(decision)

    def take(self) -> dict[str, Any]:
        """Returns a piece of the feed, newest decision first, and begins the next one. Not when empty."""
        piece = {
            # As text: it passes 2^53, up to which every reader of JSON is exact.
            "position": str(self._latest[-1].position),
            "decided": self._decided,
            "outcomes": dict.fromkeys(OUTCOMES, 0) | self._outcomes,
            "degraded": dict(sorted(self._degraded.items())),
            "decisions": [decision_to_json(item) for item in reversed(self._latest)],
            "left_out": self._decided - len(self._latest),
        }
        self._clear()
        return piece


def message(event: str, data: Any, last_id: str | None = None) -> bytes:
    """Returns one server-sent event (WHATWG HTML, 9.2.6)."""
    head = f"event: {event}\n" if last_id is None else f"id: {last_id}\nevent: {event}\n"
    # JSON has no line breaks of its own.
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"


async def feed(call: Any, ending: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Yields the feed of a call of WatchDecisions until it ends, or until `ending` is set.

    `decisions`: a piece; `alive`: ingest was heard and nothing was decided; `end`: the last message, with
    `reason` and `message`. The call is cancelled when the reader leaves.
    """
    digest = Digest()
    due = 0.0
    ended: dict[str, str] | None = None
    stopping = asyncio.create_task(ending.wait())
    reading: asyncio.Task[Any] | None = None
    # Goes out at once, so that the reader knows that the feed is open.
    yield b": usher\n\n"
    try:
        while ended is None:
            if reading is None:
                reading = asyncio.create_task(call.read())
            seconds = None if digest.empty else max(0.0, due - time.monotonic())
            await asyncio.wait({reading, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                ended = {"reason": "DRAINING", "message": "the gateway is stopping"}
            elif reading.done():
                task, reading = reading, None
                try:
                    response = task.result()
                except UsherError as error:
                    ended = _told(error)
                else:
                    if response is grpc.aio.EOF:
                        ended = {"reason": "ENDED", "message": "ingest ended the feed: begin again"}
                    elif response.decisions:
                        digest.add(response.decisions)
                    elif digest.empty:
                        yield message("alive", {})
            if not digest.empty and (ended is not None or time.monotonic() >= due):
                # Above 2 ms of work: not on the event loop. Nothing is added meanwhile.
                piece = digest.take() if digest.small else await asyncio.to_thread(digest.take)
                due = time.monotonic() + INTERVAL_SECONDS
                yield message("decisions", piece, piece["position"])
        yield message("end", ended)
    finally:
        stopping.cancel()
        if reading is not None:
            reading.cancel()
        call.cancel()


def _told(error: UsherError) -> dict[str, str]:
    if isinstance(error, Internal):
        return {"reason": "INTERNAL", "message": "internal error"}
    return {"reason": error.reason, "message": error.message}
