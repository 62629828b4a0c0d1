"""Sources as processes of their own, before a real ingest: what lies there is decided once, also where they are killed."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest, until
from tests.kafka import PARTITIONS, MockKafka
from tests.sources import SourceProcess, as_json
from usher.event.v1 import event_pb2
from usher.ingest.v1 import flow_pb2, ingest_pb2, keys_pb2

PATIENCE = 90.0
NUMBER = 120
BATCH = 20
POINTS = ("deliver.before", "settle.before", "settle.after")


def crash(point: str, nth: int) -> dict[str, str]:
    return {"USHER_FAULTS": "1", "USHER_CRASH_AT": f"{point}:{nth}"}


def events(number: int = NUMBER, prefix: str = "e") -> list[event_pb2.Event]:
    return [event(f"{prefix}{one}", f"u{one % 7}") for one in range(number)]


@contextmanager
def process(
    mesh: FakeMesh, kind: str, settings: dict[str, Any], name: str = "", **more: Any
) -> Iterator[SourceProcess]:
    shared = {"TENANT": TENANT, "BATCH_EVENTS": BATCH, "REPORT_SECONDS": 0.2}
    target = f"unix:{mesh.folder}/ingest.sock"
    one = SourceProcess(mesh.folder, target, kind, {**shared, **settings}, name)
    one.start(**more)
    try:
        yield one
    finally:
        if one.running:
            one.stop(signal.SIGKILL)


@asynccontextmanager
async def ingest(mesh: FakeMesh, url: str, **more: Any) -> AsyncIterator[Front]:
    async with running_ingest(url, mesh, **more) as front:
        yield front


async def decided(front: Front, number: int, source: SourceProcess | None = None) -> ingest_pb2.Accounting:
    """The books once so many events are decided and nothing waits."""

    async def there() -> bool:
        if source is not None:
            assert source.running, source.tail()
        books = await front.books()
        return books.decided >= number and not books.pending

    try:
        await until(there, PATIENCE)
    except TimeoutError:
        raise AssertionError(f"{await front.books()}\n{source.tail() if source else ''}") from None
    books = await front.books()
    assert books.balanced
    assert books.decided == number, "nothing is decided twice"
    assert not books.conflict
    return books


async def ended(source: SourceProcess) -> int:
    return await asyncio.to_thread(source.wait, PATIENCE)


async def reports(front: Front) -> dict[str, flow_pb2.SourceReport]:
    found = (await front.flow.ListSources(flow_pb2.ListSourcesRequest(tenant=TENANT))).sources
    return {f"{one.name}.{one.instance}": one for one in found}


async def reported(
    front: Front, name: str, is_it: Callable[[flow_pb2.SourceReport], bool]
) -> flow_pb2.SourceReport:
    """The report of a source once it says what is waited for."""

    async def there() -> bool:
        one = (await reports(front)).get(name)
        return one is not None and is_it(one)

    await until(there, PATIENCE)
    return (await reports(front))[name]


async def failed(front: Front) -> list[ingest_pb2.FailedEvent]:
    listed = await front.ingest.ListFailedEvents(ingest_pb2.ListFailedEventsRequest(tenant=TENANT))
    return [
        (
            await front.ingest.GetFailedEvent(
                ingest_pb2.GetFailedEventRequest(tenant=TENANT, failed_id=one.failed_id)
            )
        ).failed_event
        for one in listed.failed_events
    ]


# -- Kafka -----------------------------------------------------------------------------------------


def kafka_settings(kafka: MockKafka, topic: str) -> dict[str, Any]:
    return {"KAFKA_BOOTSTRAP": kafka.bootstrap, "KAFKA_TOPICS": topic, "KAFKA_GROUP": f"group-{topic}"}


async def committed(kafka: MockKafka, topic: str) -> None:
    """Returns once the group has committed everything."""

    async def there() -> bool:
        found = await asyncio.to_thread(kafka.committed, f"group-{topic}", topic)
        return found == kafka.ends(topic)

    await until(there, PATIENCE)


async def test_kafka_records_are_decided_and_their_offsets_committed(
    kafka: MockKafka, mesh: FakeMesh, sqlite_url: str
) -> None:
    topic = kafka.topic()
    half = events()
    kafka.produce(topic, [as_json(one) for one in half[:60]], headers={"content-type": b"application/json"})
    kafka.produce(
        topic,
        [one.SerializeToString() for one in half[60:]],
        headers={"content-type": b"application/x-protobuf"},
    )
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "kafka", kafka_settings(kafka, topic)) as source:
            await decided(front, NUMBER, source)
            await committed(kafka, topic)
            told = await reported(
                front, "kafka.kafka", lambda one: one.lag_records == 0 and not one.waiting_for
            )
            assert (told.accepted, told.lag_ms, told.kind) == (NUMBER, 0, "kafka")
            assert await asyncio.to_thread(source.stop) == 0
        ended_report = await reported(front, "kafka.kafka", lambda one: one.waiting_for == "ENDED")
        assert ended_report.accepted == NUMBER
        assert (await front.books()).duplicate == 0


async def test_kafka_a_consumer_killed_in_mid_batch_loses_and_repeats_nothing(
    kafka: MockKafka, mesh: FakeMesh, sqlite_url: str
) -> None:
    # All points at once: the cluster takes a while to see that a member is dead.
    topics = {point: kafka.topic() for point in POINTS}
    async with ingest(mesh, sqlite_url) as front:
        with ExitStack() as stack:
            sources = {}
            for point, topic in topics.items():
                for partition in range(PARTITIONS):
                    some = events(NUMBER // PARTITIONS, f"{point}-{partition}-")
                    kafka.produce(topic, [as_json(one) for one in some], partition=partition)
                sources[point] = stack.enter_context(
                    process(mesh, "kafka", kafka_settings(kafka, topic), point, extra=crash(point, 3))
                )
            for source in sources.values():
                assert await ended(source) == -signal.SIGKILL
            for point, topic in topics.items():
                assert await asyncio.to_thread(kafka.committed, f"group-{topic}", topic) != kafka.ends(topic)
                sources[point].start()
            books = await decided(front, NUMBER * len(topics))
            for topic in topics.values():
                await committed(kafka, topic)
            assert books.duplicate > 0, "what was accepted and not committed was read again"


async def test_kafka_two_members_share_the_partitions_and_one_takes_over(
    kafka: MockKafka, mesh: FakeMesh, sqlite_url: str
) -> None:
    topic = kafka.topic()
    settings = kafka_settings(kafka, topic)
    async with ingest(mesh, sqlite_url) as front:
        with (
            process(mesh, "kafka", settings, "first") as first,
            process(mesh, "kafka", settings, "second") as second,
        ):
            sent = 0

            async def both() -> bool:
                nonlocal sent
                for partition in range(PARTITIONS):
                    one = event(f"e{partition}-{sent}")
                    kafka.produce(topic, [as_json(one)], partition=partition)
                sent += 1
                await asyncio.sleep(0.1)
                found = await reports(front)
                return all(
                    f"kafka.{one}" in found and found[f"kafka.{one}"].accepted for one in ("first", "second")
                )

            await until(both, PATIENCE)
            await asyncio.to_thread(first.stop)
            for partition in range(PARTITIONS):
                kafka.produce(topic, [as_json(event(f"last{partition}"))], partition=partition)
            await decided(front, PARTITIONS * (sent + 1), second)
            await committed(kafka, topic)


async def test_kafka_poison_is_kept_with_its_place_and_the_rest_goes_on(
    kafka: MockKafka, mesh: FakeMesh, sqlite_url: str
) -> None:
    topic = kafka.topic()
    good = [as_json(one) for one in events(4)]
    bad = [b"{", None, b"\xff\xff", b'{"event_id":"short"}', b"[" * 70_000]
    places = kafka.produce(topic, [*good[:2], *bad, *good[2:]], partition=1)
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "kafka", kafka_settings(kafka, topic)) as source:
            books = await decided(front, 4, source)
            await committed(kafka, topic)
            kept = await failed(front)
            assert books.failed == len(kept) == len(bad)
            told = [" ".join(v.message for v in one.failure.violations) for one in kept]
            for _, offset in (places[2], places[3], places[4], places[6]):
                assert sum(f"offset {offset} of partition 1 of topic {topic}" in text for text in told) == 1
            payloads = {event_pb2.Event.FromString(one.payload).unmapped.payload[:20] for one in kept}
            assert {b"{", b"", b"\xff\xff", b"[" * 20} <= payloads
            report = await reported(
                front, "kafka.kafka", lambda one: one.lag_records == 0 and bool(one.poison)
            )
            assert (report.accepted, report.poison + report.failed) == (4, len(bad))


async def test_kafka_records_that_are_gone_before_they_were_read_are_told(
    kafka: MockKafka, mesh: FakeMesh, sqlite_url: str
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [as_json(event("first"))], partition=0)
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "kafka", kafka_settings(kafka, topic)) as source:
            await decided(front, 1, source)
            await committed(kafka, topic)
            assert await asyncio.to_thread(source.stop) == 0
            # More than the cluster keeps of a partition.
            kafka.produce(topic, [b"x" * 900_000] * 12, partition=0)
            kafka.produce(topic, [as_json(event("last"))], partition=0)
            source.start()
            await decided(front, 2, source)
            assert "records are gone that were not read" in source.log.read_text()


async def test_kafka_waits_in_its_group_while_ingest_refuses(
    kafka: MockKafka, mesh: FakeMesh, sqlite_url: str
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [as_json(one) for one in events(300)], partition=0)
    async with ingest(mesh, sqlite_url, senders={"quota": "40/second"}) as front:
        with process(mesh, "kafka", kafka_settings(kafka, topic)) as source:
            waiting = await reported(front, "kafka.kafka", lambda one: one.waiting_for == "QUOTA_EXCEEDED")
            assert waiting.lag_records > 0
            assert waiting.lag_ms > 0
            books = await decided(front, 300, source)
            assert books.refused > 0, "ingest counts what it refused"
            await committed(kafka, topic)


# -- Redis -----------------------------------------------------------------------------------------


def redis_settings(folder: Path, url: str) -> dict[str, Any]:
    file = folder / "redis-url"
    file.write_text(url)
    return {"REDIS_URL_FILE": file, "REDIS_STREAM": "events", "REDIS_CLAIM_SECONDS": 1}


def add(client: redis.Redis, some: list[event_pb2.Event]) -> list[Any]:
    return [client.xadd("events", {"event": as_json(one)}) for one in some]


async def acknowledged(client: redis.Redis) -> None:
    async def there() -> bool:
        (group,) = client.xinfo_groups("events")
        return group["pending"] == 0 and group["lag"] == 0

    await until(there, PATIENCE)


async def test_redis_entries_are_decided_and_acknowledged(
    redis_url: str, mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    client = redis.Redis.from_url(redis_url)
    some = events()
    add(client, some[:100])
    for one in some[100:]:
        client.xadd("events", {"event": one.SerializeToString(), "content-type": "application/x-protobuf"})
    # The fields of an entry may be those of the event.
    flat = {
        name: value for name, value in json.loads(as_json(event("flat"))).items() if isinstance(value, str)
    }
    client.xadd("events", flat)
    poison = client.xadd("events", {"event": b"{"})
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "redis", redis_settings(tmp_path, redis_url)) as source:
            await decided(front, NUMBER + 1, source)
            await acknowledged(client)
            (kept,) = await failed(front)
            assert f"entry {poison.decode()} of stream events" in kept.failure.violations[0].message
            told = await reported(front, "redis.redis", lambda one: one.lag_records == 0)
            assert (told.accepted, told.poison, told.lag_ms) == (NUMBER + 1, 1, 0)
            assert await asyncio.to_thread(source.stop) == 0


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("returns", [True, False], ids=["it returns", "another takes over"])
async def test_redis_a_consumer_killed_in_mid_batch_loses_and_repeats_nothing(
    redis_url: str, mesh: FakeMesh, sqlite_url: str, tmp_path: Path, point: str, returns: bool
) -> None:
    client = redis.Redis.from_url(redis_url)
    add(client, events())
    settings = redis_settings(tmp_path, redis_url)
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "redis", settings, "first", extra=crash(point, 2)) as source:
            assert await ended(source) == -signal.SIGKILL
            assert client.xpending("events", "usher")["pending"] > 0
            with process(mesh, "redis", settings, "first" if returns else "second") as next_one:
                books = await decided(front, NUMBER, next_one)
                await acknowledged(client)
            if point == "settle.before":
                assert books.duplicate > 0, "what was accepted and not acknowledged was read again"


async def test_redis_goes_on_after_its_group_and_its_server_were_away(
    redis_url: str, mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    client = redis.Redis.from_url(redis_url)
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "redis", redis_settings(tmp_path, redis_url)) as source:
            add(client, events(30))
            await decided(front, 30, source)
            client.flushall()
            add(client, events(30, "later-"))
            await decided(front, 60, source)
            await acknowledged(client)


# -- files and stdin -------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
async def test_a_file_is_resumed_where_it_was_left(
    mesh: FakeMesh, sqlite_url: str, tmp_path: Path, point: str
) -> None:
    path = tmp_path / "events.jsonl"
    lines = [as_json(one) for one in events()]
    path.write_bytes(b"\n".join([*lines[:50], b"", b"{", *lines[50:]]))
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "file", {"FILE_PATH": path}, extra=crash(point, 3)) as source:
            assert await ended(source) == -signal.SIGKILL
            source.start()
            assert await ended(source) == 0, source.tail()
            books = await decided(front, NUMBER)
            assert books.duplicate <= BATCH, "it went on at its position"
            offset = path.read_bytes().index(b"\n{\n") + 1
            texts = [one.failure.violations[0].message for one in await failed(front)]
            assert texts
            assert all(f"the line at byte {offset} of events.jsonl" in text for text in texts)
            # Once more: the position says that all is done.
            source.start()
            assert await ended(source) == 0, source.tail()
            assert (await front.books()).received == books.received
        told = await reported(front, "file.file", lambda one: one.waiting_for == "ENDED")
        assert told.kind == "file"


async def test_a_followed_file_is_read_on_through_its_rotation(
    mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(as_json(one) + b"\n" for one in events(10)))
    settings = {"FILE_PATH": path, "FILE_FOLLOW": "true", "FILE_POSITION": tmp_path / "here"}
    async with ingest(mesh, sqlite_url) as front:
        with process(mesh, "file", settings) as source:
            await decided(front, 10, source)
            text = as_json(event("cut"))
            with path.open("ab") as out:
                out.write(text[:30])
                out.flush()
                await asyncio.sleep(0.5)
                assert (await front.books()).received == 10, "a line that is being written is waited for"
                out.write(text[30:] + b"\n")
            await decided(front, 11, source)
            path.rename(tmp_path / "events.1")
            path.write_bytes(as_json(event("rotated")) + b"\n")
            await decided(front, 12, source)
            await reported(front, "file.file", lambda one: one.lag_records == 0 and one.lag_ms == 0)
            assert await asyncio.to_thread(source.stop) == 0
        assert (await front.books()).duplicate == 0


async def test_stdin_is_read_to_its_end(mesh: FakeMesh, sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(as_json(one) + b"\n" for one in events()) + b"{\n")
    async with ingest(mesh, sqlite_url) as front:
        with path.open("rb") as text, process(mesh, "stdin", {}, stdin=text) as source:
            assert await ended(source) == 0, source.tail()
        await decided(front, NUMBER)
        (kept,) = await failed(front)
        assert f"line {NUMBER + 1} of stdin" in kept.failure.violations[0].message


# -- who they are ----------------------------------------------------------------------------------


async def test_a_source_waits_for_a_key_that_opens_the_door(
    mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    path, file = tmp_path / "events.jsonl", tmp_path / "key"
    path.write_bytes(b"".join(as_json(one) + b"\n" for one in events(10)))
    async with ingest(mesh, sqlite_url, senders={"keys_required": True}) as front:
        request = keys_pb2.CreateKeyRequest(tenant=TENANT, name="source", rights=[keys_pb2.KEY_RIGHT_SUBMIT])
        key = await front.keys.CreateKey(request)
        with process(mesh, "file", {"FILE_PATH": path}) as source:
            await until(lambda: "KEY_MISSING" in source.tail(), PATIENCE)
            assert source.running, "it waits"
        file.write_text(key.secret)
        with process(mesh, "file", {"FILE_PATH": path, "API_KEY_FILE": file}) as source:
            assert await ended(source) == 0, source.tail()
        assert (await reports(front))["file.file"].accepted == 10, "the right to submit lets it report"
    async with ingest(mesh, sqlite_url) as front:
        await decided(front, 10)


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("kafka", {}, "KAFKA_BOOTSTRAP"),
        ("kafka", {"KAFKA_BOOTSTRAP": "kafka.example:9092", "KAFKA_TOPICS": "t"}, "security.protocol"),
        ("redis", {}, "REDIS_STREAM"),
        ("file", {"FILE_PATH": "/nowhere/events.jsonl"}, "cannot read /nowhere/events.jsonl"),
        ("file", {"FILE_PATH": "/tmp", "BATCH_EVENTS": "0"}, "batch_events"),
    ],
)
def test_what_cannot_work_is_refused_at_start(
    short_tmp_path: Path, kind: str, settings: dict[str, str], told: str
) -> None:
    one = SourceProcess(short_tmp_path, f"unix:{short_tmp_path}/none.sock", kind, settings)
    one.start()
    assert one.wait() == 2
    assert told in one.tail()


@pytest.mark.parametrize("kind", ["kafka", "redis", "file"])
def test_it_stops_when_asked_although_nothing_answers(short_tmp_path: Path, kind: str) -> None:
    path, url = short_tmp_path / "events.jsonl", short_tmp_path / "url"
    path.write_bytes(as_json(event()) + b"\n")
    # Nobody listens at port 1.
    url.write_text("redis://127.0.0.1:1/0")
    settings = {
        "kafka": {"KAFKA_BOOTSTRAP": "127.0.0.1:1", "KAFKA_TOPICS": "events"},
        "redis": {"REDIS_URL_FILE": url, "REDIS_STREAM": "events"},
        "file": {"FILE_PATH": path},
    }[kind]
    waits = {"kafka": "ALL_BROKERS_DOWN", "redis": "REDIS_UNAVAILABLE", "file": "records wait"}[kind]
    target = f"unix:{short_tmp_path}/none.sock"
    fast = {"DRAIN_SECONDS": 0.2, "INGEST_TIMEOUT": 0.5}
    one = SourceProcess(short_tmp_path, target, kind, {**settings, **fast})
    one.start()
    try:
        end = time.monotonic() + PATIENCE
        while waits not in one.tail():
            assert one.running, one.tail()
            assert time.monotonic() < end, one.tail()
            time.sleep(0.05)
        assert one.stop() == 0, one.tail()
        assert not path.with_name("events.jsonl.position").exists(), "nothing was settled"
    finally:
        if one.running:
            one.stop(signal.SIGKILL)
