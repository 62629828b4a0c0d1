"""An ingest of the test's own on a real gRPC server, and the `usher` command as a process against it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from services.common.errors import DETAILS_KEY, NotFound, Unavailable, UsherError, status_details
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

ROOT = Path(__file__).parents[3]

Plan = Callable[[list[event_pb2.Event]], UsherError | None]
"""What a call raises; None: it is answered."""


class FakeIngest(ingest_pb2_grpc.IngestServiceServicer):
    """Answers by the beginning of the event's id, and raises what the test planned for the call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.tenants: set[str] = set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.delay = 0.0
        self.plan: Plan = lambda events: None
        self.first_door = ingest_pb2.EVENT_STATUS_DECIDED
        self.busy: Counter[str] = Counter()
        self.events: list[event_pb2.Event] = []
        """Every event as it came."""
        self.decisions: dict[str, ingest_pb2.GetDecisionResponse] = {}
        self.modes: dict[int, ingest_pb2.ClassMode] = {}
        self.books = ingest_pb2.Accounting(tenant="load", balanced=True)
        """Counted where an answer is made, as the mesh does."""
        self.decided: set[str] = set()
        """Ids that have been decided: a repeat answers DUPLICATE."""
        self.remembers = False
        """Whether a repeat answers DUPLICATE."""
        self.swallow: Callable[[list[event_pb2.Event]], bool] = lambda events: False
        """Whether a call's answer gets lost after it was booked."""

    async def GetDecision(self, request, context):
        answer = self.decisions.get(request.event_id)
        if answer is None:
            await self._raise(context, NotFound("DECISION_UNKNOWN", "no such event was decided"))
        self.tenants.add(request.tenant)
        return answer

    async def GetMode(self, request, context):
        self.tenants.add(request.tenant)
        default = decision_pb2.MODE_ENFORCE
        return ingest_pb2.GetModeResponse(
            classes=[
                self.modes.get(number) or ingest_pb2.ClassMode(event_class=number, mode=default)
                for number in sorted(event_pb2.EventClass.values())
            ]
        )

    async def SetMode(self, request, context):
        self.tenants.add(request.tenant)
        every = sorted(event_pb2.EventClass.values())
        for number in [request.event_class] if request.event_class else every:
            self.modes[number] = ingest_pb2.ClassMode(
                event_class=number,
                mode=request.mode,
                actor=request.actor,
                # 2026-11-22T12:00:00Z
                set_time={"seconds": 1_795_348_800},
            )
        return ingest_pb2.SetModeResponse()

    async def GetAccounting(self, request, context):
        self.tenants.add(request.tenant)
        return ingest_pb2.GetAccountingResponse(accounts=[self.books] if self.books.received else [])

    @staticmethod
    async def _raise(context, error: UsherError) -> None:
        await context.abort(
            error.code, error.message, trailing_metadata=((DETAILS_KEY, status_details(error)),)
        )

    async def SubmitEvents(self, request, context):
        return ingest_pb2.SubmitEventsResponse(
            results=await self._answer(request, context, ingest_pb2.EVENT_STATUS_ACCEPTED)
        )

    async def DecideEvents(self, request, context):
        return ingest_pb2.DecideEventsResponse(
            results=await self._answer(request, context, ingest_pb2.EVENT_STATUS_DECIDED)
        )

    async def _answer(self, request, context, usual: int) -> list[ingest_pb2.EventResult]:
        events = list(request.events)
        self.calls.append([event.event_id for event in events])
        self.events.extend(events)
        self.tenants.add(request.tenant)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
            error = self.plan(events)
            if error is not None:
                await self._raise(context, error)
            results = [self._result(event, usual) for event in events]
            self._book(results)
            if self.swallow(events):
                await self._raise(context, Unavailable("DRAINING", "the answer is lost"))
            return results
        finally:
            self.in_flight -= 1

    def _book(self, results: list[ingest_pb2.EventResult]) -> None:
        for result in results:
            name = ingest_pb2.EventStatus.Name(result.status).removeprefix("EVENT_STATUS_").lower()
            self.books.received += 1
            if name in ("decided", "failed"):
                self.books.accepted += 1
            if name == "decided":
                self.decided.add(result.event_id)
            if name != "accepted":
                setattr(self.books, name, getattr(self.books, name) + 1)

    def _result(self, event: event_pb2.Event, usual: int) -> ingest_pb2.EventResult:
        result = ingest_pb2.EventResult(status=usual, event_id=event.event_id)
        kind = event.event_id.partition("-")[0]
        if self.remembers and event.event_id in self.decided:
            kind = "duplicate"
        if kind == "duplicate":
            result.status = ingest_pb2.EVENT_STATUS_DUPLICATE
        elif kind == "conflict":
            result.status = ingest_pb2.EVENT_STATUS_CONFLICT
            result.failure.reason = "EVENT_ID_REUSED"
            result.failure.message = "use a new event_id"
        elif kind == "failed" or event.HasField("unmapped"):
            result.status = ingest_pb2.EVENT_STATUS_FAILED
            result.failure.reason = "INVALID_EVENT"
            result.failure.message = "correct it"
            result.failure.failed_id = "failed_" + "0" * 32
            result.failure.violations.extend(event.unmapped.violations)
        elif kind == "old":
            result.status = ingest_pb2.EVENT_STATUS_REFUSED
            result.failure.reason = "TOO_OLD"
        elif kind == "busy":
            self.busy[event.event_id] += 1
            if self.busy[event.event_id] < 3:
                result.status = ingest_pb2.EVENT_STATUS_REFUSED
                result.failure.reason = "RATE_LIMITED"
                result.failure.retry_after_ms = 20
        if usual == ingest_pb2.EVENT_STATUS_DECIDED and result.status in (
            ingest_pb2.EVENT_STATUS_DECIDED,
            ingest_pb2.EVENT_STATUS_DUPLICATE,
        ):
            result.decision.event_id = event.event_id
            result.decision.outcome = decision_pb2.OUTCOME_ALLOW
            if "block" in event.event_id:
                result.decision.outcome = decision_pb2.OUTCOME_BLOCK
                result.decision.country = "NL"
                result.decision.reasons.add(code=decision_pb2.REASON_CODE_TOR_EXIT)
        return result


class Mesh(NamedTuple):
    ingest: FakeIngest
    target: str


class Ran(NamedTuple):
    status: int
    lines: list[dict]
    stderr: str

    @property
    def account(self) -> dict[str, int]:
        """The rows of the table on stderr whose second word is a number."""
        rows = (line.split() for line in self.stderr.splitlines())
        return {
            row[0]: int(row[1].replace(",", ""))
            for row in rows
            if len(row) > 1 and row[1][0].isdigit() and row[0].islower()
        }

    @property
    def summary(self) -> list[list[str]]:
        """The rows of the table of decisions on stderr, without its head."""
        lines = self.stderr.splitlines()
        heads = [number for number, line in enumerate(lines) if line.split()[:1] == ["outcome"]]
        return [line.split() for line in lines[heads[0] + 1 :]] if heads else []


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "proto"), "COLUMNS": "200"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def event(event_id: str) -> str:
    return json.dumps(
        {
            "event_id": event_id,
            "user_id": "u1",
            "device_id": "d1",
            "event_type": "play",
            "timestamp": "2026-11-22T12:00:00Z",
            "region": "DE",
            "ip_address": "192.0.2.1",
        }
    )


def events(ids: Sequence[str]) -> str:
    return "".join(event(event_id) + "\n" for event_id in ids)


async def run(door: str, mesh: Mesh, text: str | bytes, *options: str) -> Ran:
    process = await start(door, "-", "--target", mesh.target, "--json", *options)
    stdin = text.encode() if isinstance(text, str) else text
    stdout, stderr = await asyncio.wait_for(process.communicate(stdin), 60)
    assert process.returncode is not None
    return Ran(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr.decode())


async def run_plain(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Runs a command; returns its status, stdout and stderr."""
    process = await start(*arguments)
    stdout, stderr = await asyncio.wait_for(process.communicate(stdin), 60)
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()
