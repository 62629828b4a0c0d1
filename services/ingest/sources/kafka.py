"""Records of Kafka topics, read as a member of a consumer group.

An offset is committed once every record before it has its ending, at most a second later, and at once where a partition
goes to another member. A process that is killed in between leaves records that the next one hands over again.

librdkafka's consumer is called from one thread only. While records of a partition wait it is paused, and the consumer is
polled all the same, so that it stays in its group however long ingest is away.

Protocol: KIP-848 (https://cwiki.apache.org/confluence/display/KAFKA/KIP-848), or the classic one by setting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import Counter

from services.common.errors import InvalidArgument
from services.common.telemetry import Telemetry
from services.ingest.sources.pump import Batch, Lag
from services.ingest.sources.records import Record
from services.ingest.sources.settings import KafkaSettings

_POLL_S = 0.2
_COMMIT_S = 1.0
_ASK_S = 10.0
_CONTENT_TYPE = "content-type"
_CREATE_TIME = (1, 2)

Partition = tuple[str, int]


class _Mark(NamedTuple):
    """What a batch settles."""

    partition: Partition
    assignment: int
    next_offset: int
    number: int


class _Lane:
    """One assigned partition. Guarded by the source's lock."""

    __slots__ = ("assignment", "committed", "held", "oldest_ms", "paused", "read", "settled")

    def __init__(self, assignment: int) -> None:
        self.assignment = assignment
        self.read = -1
        """Offset after the last record read; -1: none was."""
        self.settled = -1
        """Offset after the last record settled; -1: none was."""
        self.committed = -1
        self.held = 0
        """Records read and not settled."""
        self.oldest_ms: list[tuple[int, int]] = []
        """(offset after it, time) of each batch that is held: the time is that of its first record."""
        self.paused = False


class KafkaSource:
    """A member of a consumer group."""

    def __init__(
        self, settings: KafkaSettings, batch_events: int, client_id: str, telemetry: Telemetry
    ) -> None:
        self._settings = settings
        self._batch = batch_events
        self._client_id = client_id
        # Two batches of a partition: one under way and the next.
        self._most_held = 2 * batch_events
        self._log = telemetry.logger("kafka")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._lock = threading.Lock()
        self._lanes: dict[Partition, _Lane] = {}
        self._assignments = 0
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()
        self._polling: asyncio.Task[None] | None = None
        self._consumer: Consumer | None = None
        self._gone = Counter(
            "usher_source_records_gone",
            "Records that Kafka no longer had when they were to be read.",
            registry=telemetry.registry,
        )
        self._commit_due = 0.0
        self._ending = False
        self.trouble = ""

    # -- what the pump calls -----------------------------------------------------------------------

    async def open(self) -> None:
        """Joins the group. Raises InvalidArgument (KAFKA_SETTINGS_INVALID)."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._join)
        self._polling = asyncio.create_task(self._poll(), name="kafka")

    async def next(self) -> Batch:
        """The next records of one partition."""
        getting = asyncio.create_task(self._batches.get())
        polling = self._polling
        assert polling is not None
        try:
            await asyncio.wait([getting, polling], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                polling.result()
                raise AssertionError("polling ends only by an error")
            return getting.result()
        finally:
            getting.cancel()

    async def settle(self, batch: Batch) -> None:
        """Has the offset after the batch committed soon, unless its partition went to another member meanwhile."""
        mark: _Mark = batch.mark
        with self._lock:
            lane = self._lanes.get(mark.partition)
            if lane is None or lane.assignment != mark.assignment:
                return
            lane.settled = mark.next_offset
            lane.held -= mark.number
            lane.oldest_ms = [one for one in lane.oldest_ms if one[0] > mark.next_offset]

    async def lag(self) -> Lag:
        """Records of the assigned partitions that are not settled."""
        if self._consumer is None or self._ending:
            return Lag(-1, -1)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._lag)

    async def close(self) -> None:
        """Commits what was settled and leaves the group."""
        self._ending = True
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        if self._consumer is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._leave)
        self._thread.shutdown(wait=True)

    # -- in the consumer's thread ------------------------------------------------------------------

    def _join(self) -> None:
        settings = self._settings
        properties: dict[str, Any] = {
            "client.id": f"usher-{self._client_id}",
            # Of a message too large for this the whole batch would wait; Kafka delivers one larger than it all the same.
            "fetch.message.max.bytes": 1 << 20,
            "queued.max.messages.kbytes": 16 << 10,
            **settings.parsed(),
            "bootstrap.servers": settings.bootstrap,
            "group.id": settings.group,
            "group.protocol": settings.group_protocol,
            "auto.offset.reset": settings.start,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": False,
            "error_cb": self._on_error,
        }
        if settings.group_protocol == "classic":
            properties.setdefault("partition.assignment.strategy", "cooperative-sticky")
        try:
            self._consumer = Consumer(properties, logger=self._log)
            self._consumer.subscribe(
                list(settings.topics),
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
        except KafkaException as error:
            raise InvalidArgument(
                "KAFKA_SETTINGS_INVALID", f"Kafka's client does not take its settings: {error.args[0].str()}"
            ) from None

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for batch in await loop.run_in_executor(self._thread, self._round):
                self._batches.put_nowait(batch)

    def _round(self) -> list[Batch]:
        """Holds or lets go partitions, reads what is there, commits what is due."""
        consumer = self._consumer
        assert consumer is not None
        self._hold(consumer)
        messages = []
        first = consumer.poll(_POLL_S)
        if first is not None:
            messages = [first, *consumer.consume(self._most_held - 1, 0)]
        if time.monotonic() >= self._commit_due:
            self._commit(consumer)
        return self._batched(messages)

    def _hold(self, consumer: Consumer) -> None:
        pause, resume = [], []
        with self._lock:
            for (topic, partition), lane in self._lanes.items():
                if not lane.paused and lane.held >= self._most_held:
                    lane.paused = True
                    pause.append(TopicPartition(topic, partition))
                elif lane.paused and lane.held <= self._batch:
                    lane.paused = False
                    resume.append(TopicPartition(topic, partition))
        for ask, partitions in ((consumer.pause, pause), (consumer.resume, resume)):
            if partitions:
                try:
                    ask(partitions)
                except KafkaException as error:
                    # It is no longer ours; the callback that says so is on its way.
                    self._log.info("a partition was not held", extra={"error": error.args[0].name()})

    def _batched(self, messages: list[Message]) -> list[Batch]:
        by_partition: dict[Partition, list[Message]] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_error(error)
                continue
            by_partition.setdefault((message.topic() or "", message.partition() or 0), []).append(message)
        if by_partition:
            self.trouble = ""
            self._note_gone(by_partition)
        batches = []
        with self._lock:
            for partition, mine in by_partition.items():
                lane = self._lanes.get(partition)
                if lane is None:
                    continue
                for begin in range(0, len(mine), self._batch):
                    some = mine[begin : begin + self._batch]
                    records = [_record(one) for one in some]
                    mark = _Mark(partition, lane.assignment, (some[-1].offset() or 0) + 1, len(some))
                    lane.read = mark.next_offset
                    lane.held += len(some)
                    lane.oldest_ms.append((mark.next_offset, records[0].time_ms))
                    batches.append(Batch(f"{partition[0]}/{partition[1]}#{lane.assignment}", records, mark))
        return batches

    def _note_gone(self, by_partition: dict[Partition, list[Message]]) -> None:
        """Tells where a partition no longer holds what the group had yet to read: retention was shorter than its absence."""
        consumer = self._consumer
        assert consumer is not None
        with self._lock:
            new = [one for one in by_partition if one in self._lanes and self._lanes[one].read < 0]
        if not new:
            return
        try:
            found = consumer.committed([TopicPartition(*one) for one in new], timeout=_ASK_S)
        except KafkaException as error:
            self._log.info("committed offsets were not told", extra={"error": error.args[0].name()})
            return
        for place in found:
            first = by_partition[place.topic, place.partition][0].offset() or 0
            if 0 <= place.offset < first:
                self._gone.inc(first - place.offset)
                self._log.error(
                    "records are gone that were not read: the topic keeps them for too short a time, or is compacted",
                    extra={
                        "partition": f"{place.topic}/{place.partition}",
                        "from": place.offset,
                        "to": first - 1,
                    },
                )

    def _commit(self, consumer: Consumer, only: set[Partition] | None = None) -> None:
        self._commit_due = time.monotonic() + _COMMIT_S
        with self._lock:
            due = {
                partition: lane.settled
                for partition, lane in self._lanes.items()
                if lane.settled > lane.committed and (only is None or partition in only)
            }
        if not due:
            return
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in due.items()]
        try:
            answers = consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            # Tried again in a second; at worst the records are handed over once more.
            self._log.warning("offsets were not committed yet", extra={"error": error.args[0].name()})
            return
        with self._lock:
            for answer in answers:
                lane = self._lanes.get((answer.topic, answer.partition))
                if lane is not None and answer.error is None:
                    lane.committed = max(lane.committed, answer.offset)

    def _lag(self) -> Lag:
        consumer = self._consumer
        assert consumer is not None
        with self._lock:
            lanes = {
                partition: (lane.settled, lane.held, lane.read) for partition, lane in self._lanes.items()
            }
            oldest = [lane.oldest_ms[0][1] for lane in self._lanes.values() if lane.oldest_ms]
        total, known = 0, True
        for (topic, number), (settled, held, read) in lanes.items():
            try:
                # As of the last fetch: no round trip.
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
                begin = settled if settled >= 0 else read - held if read >= 0 else -1
                if begin < 0:
                    (place,) = consumer.position([TopicPartition(topic, number)])
                    begin = place.offset
            except KafkaException:
                known = False
                continue
            if end < 0 or begin < 0:
                # Nothing was fetched yet, so nothing is known to wait.
                known = known and not held
                total += held
            else:
                total += max(0, end - begin)
        if not known:
            return Lag(-1, -1)
        if not total:
            return Lag(0, 0)
        times = [one for one in oldest if one]
        return Lag(total, max(0, int(time.time() * 1000) - min(times)) if times else -1)

    def _leave(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        self._commit(consumer)
        consumer.close()

    # -- callbacks of the consumer, in its thread ----------------------------------------------------

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        with self._lock:
            for one in partitions:
                self._assignments += 1
                self._lanes[one.topic, one.partition] = _Lane(self._assignments)
        self.trouble = ""
        self._log.info("partitions came", extra={"partitions": _named(partitions)})

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer, {(one.topic, one.partition) for one in partitions})
        self._forget(partitions)
        self._log.info("partitions went to another member", extra={"partitions": _named(partitions)})

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)
        self._log.warning("partitions were lost", extra={"partitions": _named(partitions)})

    def _forget(self, partitions: list[TopicPartition]) -> None:
        with self._lock:
            for one in partitions:
                self._lanes.pop((one.topic, one.partition), None)

    def _on_error(self, error: KafkaError) -> None:
        name = error.name().lstrip("_")
        if self.trouble != name:
            self._log.warning("Kafka reports an error", extra={"error": name, "text": error.str()[:300]})
        self.trouble = name


def _record(message: Message) -> Record:
    kind, time_ms = message.timestamp()
    media_type = ""
    headers: Any = message.headers() or ()
    for name, value in headers:
        if name.lower() == _CONTENT_TYPE and value is not None:
            media_type = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    return Record(
        value=message.value(),
        place=f"kafka:{topic}/{partition}/{offset}",
        where=f"offset {offset} of partition {partition} of topic {topic}",
        media_type=media_type,
        time_ms=time_ms if kind in _CREATE_TIME else 0,
    )


def _named(partitions: list[TopicPartition]) -> str:
    return " ".join(f"{one.topic}/{one.partition}" for one in partitions)
