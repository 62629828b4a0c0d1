"""A Kafka cluster for tests: the one that librdkafka carries inside itself for its own tests.

It speaks Kafka's protocol on 127.0.0.1 to any process, makes a topic of four partitions of whatever name is used
first, and knows groups of the protocol of KIP-848 (of the classic protocol only the first member ever joins). It
lives in the memory of the process that started it, and of a partition it keeps the last 5 MiB: it stands for a broker, not
for a broker's disk.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

PARTITIONS = 4
"""Of a topic that the cluster makes by itself."""

_PATIENCE_SECONDS = 60.0


class MockKafka:
    """A cluster of this process. Context manager: it starts on entry and ends, with everything in it, on exit."""

    def __init__(self, brokers: int = 1) -> None:
        self._brokers = brokers
        self._producer: Producer | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        # The address is required and not used.
        self._producer = Producer(
            {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": self._brokers, "log_level": 3}
        )
        found = self._producer.list_topics(timeout=_PATIENCE_SECONDS)
        self.bootstrap = ",".join(f"{one.host}:{one.port}" for one in found.brokers.values())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer = None

    def topic(self, prefix: str = "events") -> str:
        """A new topic, with its partitions, under a name that nothing else has."""
        name = f"{prefix}-{secrets.token_hex(6)}"
        self._of(name)
        return name

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        partition: int | None = None,
    ) -> list[tuple[int, int]]:
        """Writes records and returns, once the cluster has them, (partition, offset) of each in order."""
        if self._producer is None:
            raise RuntimeError("the cluster is not running")
        places: list[tuple[int, int]] = []

        def told(error: object, message: Message) -> None:
            if error is not None:
                raise KafkaException(error)
            places.append((message.partition() or 0, message.offset() or 0))

        more = {} if partition is None else {"partition": partition}
        sent = 0
        for value in values:
            # Keyword arguments that are None mean something else to the library than absent ones.
            self._producer.produce(
                topic, value, key=key, headers=dict(headers or {}), on_delivery=told, **more
            )
            sent += 1
            if sent % 1000 == 0:
                self._producer.poll(0)
        left = self._producer.flush(_PATIENCE_SECONDS)
        if left or len(places) != sent:
            raise TimeoutError(f"{left} of {sent} records were not written")
        return places

    def read(self, topic: str, count: int) -> list[Message]:
        """The first ``count`` records of a topic, of all its partitions, as soon as there are as many."""
        reader = Consumer(self._reader(f"read-{secrets.token_hex(6)}"))
        found: list[Message] = []
        try:
            reader.assign([TopicPartition(topic, one, 0) for one in self._of(topic)])
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while len(found) < count:
                for message in reader.consume(count - len(found), timeout=0.2):
                    if message.error() is None:
                        found.append(message)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(found)} of {count} records of {topic} came")
        finally:
            reader.close()
        return found

    def ends(self, topic: str) -> dict[int, int]:
        """By partition, the offset of the record that would be written next."""
        reader = Consumer(self._reader("ends"))
        try:
            return {
                one: reader.get_watermark_offsets(TopicPartition(topic, one), timeout=_PATIENCE_SECONDS)[1]
                for one in self._of(topic)
            }
        finally:
            reader.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """By partition, the offset from which a group would go on; 0 where it committed none."""
        reader = Consumer(self._reader(group))
        try:
            asked = [TopicPartition(topic, one) for one in self._of(topic)]
            return {
                one.partition: max(one.offset, 0)
                for one in reader.committed(asked, timeout=_PATIENCE_SECONDS)
            }
        finally:
            reader.close()

    def _reader(self, group: str) -> dict[str, str | int | bool]:
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": group,
            "group.protocol": "consumer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 3,
        }

    def _of(self, topic: str) -> list[int]:
        if self._producer is None:
            raise RuntimeError("the cluster is not running")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            found = self._producer.list_topics(topic, timeout=_PATIENCE_SECONDS).topics[topic]
            if found.error is None and found.partitions:
                return sorted(found.partitions)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: {found.error}")
            time.sleep(0.01)
