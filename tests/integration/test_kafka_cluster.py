"""The Kafka cluster of the tests does what tests rely on: groups of KIP-848, and offsets that outlive a consumer."""

from __future__ import annotations

from confluent_kafka import Consumer

from tests.kafka import PARTITIONS, MockKafka


def test_records_keep_their_place_key_and_headers(kafka: MockKafka) -> None:
    topic = kafka.topic()
    places = kafka.produce(topic, [b"one", b"two"], key=b"viewer", headers={"schema": b"json"}, partition=2)
    assert places == [(2, 0), (2, 1)]
    assert kafka.ends(topic) == {one: 2 if one == 2 else 0 for one in range(PARTITIONS)}
    found = kafka.read(topic, 2)
    assert [(one.value(), one.key(), one.headers()) for one in found] == [
        (b"one", b"viewer", [("schema", b"json")]),
        (b"two", b"viewer", [("schema", b"json")]),
    ]


def test_a_second_consumer_of_a_group_goes_on_where_the_first_committed(kafka: MockKafka) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [str(one).encode() for one in range(40)])
    group = f"group-of-{topic}"
    seen: list[bytes] = []
    for _ in range(2):
        consumer = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "group.id": group,
                "group.protocol": "consumer",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe([topic])
        for _ in range(20):
            message = consumer.poll(60)
            assert message is not None
            assert message.error() is None
            seen.append(message.value() or b"")
            consumer.commit(message=message, asynchronous=False)
        consumer.close()
    assert sorted(map(int, seen)) == list(range(40))
    assert kafka.committed(group, topic) == kafka.ends(topic)
