"""Moves records from a source to ingest, in order within each lane, and tells every few seconds how far behind it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

from prometheus_client import Gauge

from services.common.errors import Unavailable, UsherError
from services.common.telemetry import Telemetry
from services.ingest.faults import crash_point
from services.ingest.sources.delivery import Delivery
from services.ingest.sources.records import JSON, PROTOBUF, Mapped, Record, mapped
from services.ingest.sources.settings import SourceSettings
from usher.ingest.v1 import flow_pb2

ENDED = "ENDED"
"""What a source that came to its end waits for, as ingest's backlog reads it."""

# Records mapped before the loop gets its turn: about 1 ms.
_CHUNK = 64

Report = Callable[[flow_pb2.SourceReport], Awaitable[None]]


class Batch(NamedTuple):
    """Records of one lane, in order."""

    lane: str
    """What keeps an order: a partition, a stream, a file."""
    records: Sequence[Record]
    mark: Any
    """What the source needs in order to settle it."""


class Lag(NamedTuple):
    """How far behind; -1: not known."""

    records: int
    """Records that wait and are not settled."""
    ms: int
    """Age of the oldest of them; 0: none waits."""


class Source(Protocol):
    """Where records come from. All methods run on the event loop and hold it up for no longer than a moment."""

    trouble: str
    """Why nothing comes, UPPER_SNAKE; empty while all is well."""

    async def open(self) -> None:
        """Connects. Raises UsherError where that can never succeed."""
        ...

    async def next(self) -> Batch | None:
        """The next records, as soon as there are any; None at the end of a source that has one."""
        ...

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch has its ending. Called in order within a lane."""
        ...

    async def lag(self) -> Lag:
        """How far behind."""
        ...

    async def close(self) -> None:
        """Makes durable what was settled, and leaves."""
        ...


class Pump:
    """Runs one source until it ends, or until `stop`."""

    def __init__(
        self,
        source: Source,
        delivery: Delivery,
        report: Report,
        settings: SourceSettings,
        telemetry: Telemetry,
    ) -> None:
        self._source = source
        self._delivery = delivery
        self._report = report
        self._settings = settings
        self._usual = JSON if settings.schema == "json" else PROTOBUF
        self._log = telemetry.logger("pump")
        self._slots = asyncio.Semaphore(settings.batches_in_flight)
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._opened = False
        registry = telemetry.registry
        records = Gauge(
            "usher_source_records",
            "Records since the start, by ending: accepted (repeats included), failed, poison, refused.",
            ("ending",),
            registry=registry,
        )
        for ending in ("accepted", "failed", "poison", "refused"):
            records.labels(ending).set_function(lambda ending=ending: delivery.counts[ending])  # type: ignore[misc]
        self._lag_records = Gauge(
            "usher_source_lag_records",
            "Records that wait and are not settled; -1: not known.",
            registry=registry,
        )
        self._lag_seconds = Gauge(
            "usher_source_lag_seconds",
            "Age of the oldest of them; 0: none; -1: not known.",
            registry=registry,
        )

    async def healthy(self) -> None:
        """Raises Unavailable (SOURCE_STARTING) before the source is connected. What it waits for is told in its reports:
        no restart would help."""
        if not self._opened:
            raise Unavailable("SOURCE_STARTING", "the source is not connected yet")

    def stop(self) -> None:
        """Reads no more; what was read is settled."""
        self._stopping.set()

    async def run(self) -> None:
        """Returns at the source's end or after `stop`. Raises UsherError where the source cannot be read."""
        if not await self._open():
            return
        reporting = asyncio.create_task(self._keep_reporting(), name="reports")
        try:
            await self._move()
        finally:
            reporting.cancel()
            await asyncio.wait([reporting])
            await self._source.close()
            await self._tell(ended=True)
        if not reporting.cancelled():
            reporting.result()

    async def _open(self) -> bool:
        """Connects; False where `stop` came first."""
        opening = asyncio.create_task(self._source.open(), name="open")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait([opening, stop], return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
                self._opened = True
        finally:
            opening.cancel()
            stop.cancel()
            await asyncio.gather(opening, stop, return_exceptions=True)
            if not self._opened:
                await self._source.close()
        return self._opened

    async def _move(self) -> None:
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        running: set[asyncio.Task[None]] = set()
        try:
            while not stop.done():
                for task in [one for one in running if one.done()]:
                    running.discard(task)
                    task.result()
                batch = await self._unless(stop, self._read())
                if batch is None:
                    break
                task = asyncio.create_task(self._handle(batch, self._lanes.get(batch.lane)))
                self._lanes = {lane: one for lane, one in self._lanes.items() if not one.done()}
                self._lanes[batch.lane] = task
                running.add(task)
            settling = asyncio.create_task(_all(frozenset(running)))
            running.add(settling)
            await asyncio.wait([settling, stop], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([settling], timeout=self._settings.drain_seconds)
            for task in running:
                if task.done():
                    task.result()
        finally:
            stop.cancel()
            for task in running:
                task.cancel()
            await asyncio.gather(stop, *running, return_exceptions=True)

    async def _unless(self, stop: asyncio.Task[Any], reading: Any) -> Batch | None:
        task: asyncio.Task[Batch | None] = asyncio.create_task(reading)
        await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        return None

    async def _read(self) -> Batch | None:
        await self._slots.acquire()
        try:
            batch = await self._source.next()
        except BaseException:
            self._slots.release()
            raise
        if batch is None:
            self._slots.release()
        return batch

    async def _handle(self, batch: Batch, before: asyncio.Task[None] | None) -> None:
        try:
            events: list[Mapped] = []
            for index, record in enumerate(batch.records):
                if index % _CHUNK == _CHUNK - 1:
                    await asyncio.sleep(0)
                events.append(mapped(record, self._usual))
            if before is not None and not before.done():
                await asyncio.wait([before])
            if before is not None:
                before.result()
            crash_point("deliver.before")
            await self._delivery.deliver(batch.records, events)
            crash_point("settle.before")
            await self._source.settle(batch)
            crash_point("settle.after")
        except BaseException:
            # Nothing after it may be settled: the whole source ends, and begins again after what was.
            self.stop()
            raise
        finally:
            self._slots.release()

    # -- reports -----------------------------------------------------------------------------------

    async def _keep_reporting(self) -> None:
        try:
            while True:
                await self._tell()
                await asyncio.sleep(self._settings.report_seconds)
        finally:
            # A source that nobody can see does not go on.
            self.stop()

    async def _tell(self, *, ended: bool = False) -> None:
        counts = self._delivery.counts
        report = flow_pb2.SourceReport(
            tenant=self._settings.tenant,
            name=self._settings.reported_name,
            instance=self._settings.reported_instance,
            kind=self._settings.kind,
            accepted=counts["accepted"],
            failed=counts["failed"],
            refused=counts["refused"],
            poison=counts["poison"],
            waiting_for=ENDED if ended else self._delivery.waiting_for or self._source.trouble,
        )
        if not ended:
            lag = await self._source.lag()
            report.lag_records, report.lag_ms = lag.records, lag.ms
            self._lag_records.set(lag.records)
            self._lag_seconds.set(lag.ms / 1000 if lag.ms > 0 else lag.ms)
        try:
            await self._report(report)
        except UsherError as error:
            self._log.warning("the report was not taken", extra={"reason": error.reason})


async def _all(tasks: Collection[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks)
