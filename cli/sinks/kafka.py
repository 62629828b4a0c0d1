"""A Kafka topic as a sink: an idempotent producer, and a record is taken once its delivery report says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from cli.sinks.encoding import Encoding
from cli.sinks.records import Record
from cli.sinks.runner import NotTakenError

OURS = {"enable.idempotence": True, "acks": "all"}
"""What no configuration changes: without them a delivery report does not mean that a record is kept."""
_POLL_S = 0.2


class KafkaSink:
    """Produces to a topic, keyed by event id.

    Args:
        config: librdkafka's properties: `bootstrap.servers`, and whatever the cluster asks for.
        timeout: seconds until a record that was not confirmed counts as not taken.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, *, encoding: Encoding, timeout: float) -> None:
        self._config = {
            "client.id": "usher-sink",
            "linger.ms": 5,
            "compression.type": "lz4",
            **config,
            **OURS,
            "delivery.timeout.ms": int(timeout * 1000),
        }
        self._topic = topic
        self._encoding = encoding
        self._timeout = timeout
        self._producer = Producer(self._config)

    async def deliver(self, records: Sequence[Record]) -> None:
        await asyncio.to_thread(self._deliver, records)

    def _deliver(self, records: Sequence[Record]) -> None:
        left = dict(enumerate(records))
        errors: list[KafkaError] = []

        def reported(number: int) -> Callable[[KafkaError | None, Any], None]:
            def report(error: KafkaError | None, _message: Any) -> None:
                if error is None:
                    left.pop(number, None)
                else:
                    errors.append(error)

            return report

        for number, one in enumerate(records):
            if error := self._produce(one, reported(number)):
                errors.append(error)
                break
        self._producer.flush(self._timeout + 1)
        if not left:
            return
        if any(error.fatal() for error in errors):
            # librdkafka's idempotent producer takes nothing more after a fatal error; a new one begins anew.
            self._producer = Producer(self._config)
        error = errors[0] if errors else KafkaError(KafkaError._MSG_TIMED_OUT)
        raise NotTakenError(error.name(), f"Kafka: {error.str()}", rest=list(left.values()))

    def _produce(self, record: Record, report: Callable[[KafkaError | None, Any], None]) -> KafkaError | None:
        """Hands a record to the producer; returns why it would not have it."""
        headers: list[tuple[str, str | bytes | None]] = [
            ("usher-id", record.message_id.encode()),
            ("usher-tenant", record.decision.tenant.encode()),
            ("usher-position", str(record.position).encode()),
            ("content-type", self._encoding.content_type.encode()),
        ]
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=record.value,
                    key=record.decision.event_id.encode(),
                    headers=headers,
                    timestamp=record.decision.decided_time.ToMilliseconds(),
                    on_delivery=report,
                )
            except BufferError:
                # Its queue is full: what is delivered makes room, and what is not times out.
                self._producer.poll(_POLL_S)
                continue
            except KafkaException as error:
                found: KafkaError = error.args[0]
                return found
            self._producer.poll(0)
            return None

    async def close(self) -> None:
        return None
