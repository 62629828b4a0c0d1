"""The Python client against ingest itself, and against one that fails as the test plans."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from client import BlockingUsherClient, ClientSettings, UsherClient
from client.fallback import FALLBACK
from services.common.errors import ResourceExhausted, Unauthenticated, Unavailable
from tests.fakes import TENANT, FakeMesh, event, running_ingest, until
from tests.integration.cli.fake_ingest import FakeIngest
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2_grpc

CAUTION, REVIEW = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION, decision_pb2.OUTCOME_REVIEW
PATIENT = 20.0
"""Seconds: a busy machine is slow, and that is no failure."""


@asynccontextmanager
async def serving(folder: Path, fake: FakeIngest) -> AsyncIterator[str]:
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(fake, server)
    target = f"unix:{folder}/fake.sock"
    server.add_insecure_port(target)
    await server.start()
    try:
        yield target
    finally:
        await server.stop(0)


@asynccontextmanager
async def asking(target: str, **settings: float) -> AsyncIterator[UsherClient]:
    chosen = {"deadline": PATIENT, "breaker_failures": 1_000, **settings}
    async with UsherClient(ClientSettings(target, TENANT, **chosen)) as client:  # type: ignore[arg-type]
        yield client


async def test_calls_that_come_together_go_together_and_answers_come_to_each(short_tmp_path: Path) -> None:
    fake = FakeIngest()
    async with serving(short_tmp_path, fake) as target, asking(target) as client:
        events = [event(f"e-{number}", f"u{number}") for number in range(600)]
        events[7].event_id = "block-7"
        answers = await client.decide_many(events)
    assert [answer.event_id for answer in answers] == [one.event_id for one in events]
    assert answers[7].outcome == decision_pb2.OUTCOME_BLOCK
    assert not any(answer.is_fallback for answer in answers)
    assert max(map(len, fake.calls)) <= 256
    assert len(fake.calls) < 60
    assert fake.most_in_flight <= 2
    assert client.stats.decided == 600


async def test_a_viewers_events_keep_their_order(short_tmp_path: Path) -> None:
    fake = FakeIngest()
    fake.delay = 0.01
    async with serving(short_tmp_path, fake) as target, asking(target) as client:
        events = [event(f"e-{n}-{user}", f"u{user}") for n in range(20) for user in range(3)]
        await client.decide_many(events)
    for user in range(3):
        came = [one.event_id for one in fake.events if one.user_id == f"u{user}"]
        assert came == [f"e-{n}-{user}" for n in range(20)]
    for call in fake.calls:
        users = [name.rpartition("-")[2] for name in call]
        assert len(users) == len(set(users)) or len(call) <= 60


async def test_after_the_deadline_it_answers_by_itself_and_a_retry_brings_the_decision(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    gate = threading.Event()
    async with (
        running_ingest(sqlite_url, mesh) as front,
        asking(f"unix:{mesh.folder}/ingest.sock") as client,
    ):
        commit = front.app._store.commit

        def slow(work: Any) -> Any:
            assert gate.wait(PATIENT)
            return commit(work)

        # A disk that hangs: for a service that is slow ingest would answer in time without it.
        front.app._store.commit = slow  # type: ignore[method-assign]
        one, other = event("e1", "u1", event_type="play"), event("e2", "u2", event_type="export")
        first, second = await asyncio.gather(client.decide(one, 0.3), client.decide(other, 0.3))
        gate.set()
        assert (first.outcome, first.reason, first.cause) == (CAUTION, FALLBACK, "DEADLINE_EXCEEDED")
        assert (second.outcome, second.is_fallback) == (REVIEW, True)
        again = await client.decide(one)
        assert again.decision is not None
        assert again.decision.event_id == "e1"
        # What was answered without Usher is in the viewer's history all the same, once.
        decision = await front.decision("e2")
        assert decision.event_id == "e2"
        await until(lambda: client.unsent == 0)
        books = await front.books()
        assert (books.decided, books.accepted, books.balanced) == (2, 2, True)
    assert client.stats.causes == {"DEADLINE_EXCEEDED": 2}


async def test_what_nobody_could_take_is_handed_over_when_somebody_can(short_tmp_path: Path) -> None:
    fake = FakeIngest()
    fake.plan = lambda events: Unavailable("DRAINING", "away")
    async with (
        serving(short_tmp_path, fake) as target,
        asking(target, breaker_failures=1, breaker_seconds=60) as client,
    ):
        away = await client.decide(event("e1", "u1"))
        assert (away.outcome, away.cause) == (CAUTION, "DRAINING")
        calls = len(fake.calls)
        opened = await client.decide(event("e2", "u2"))
        assert (opened.outcome, opened.cause) == (CAUTION, "BREAKER_OPEN")
        decides = [call for call in fake.calls[calls:] if call == ["e2"]]
        fake.plan = lambda events: None
        await until(lambda: client.unsent == 0)
    # One after the fact, none while the breaker was open.
    assert decides == []
    assert client.stats.handed_over == 2
    assert client.stats.causes == {"DRAINING": 1, "BREAKER_OPEN": 1}
    assert sorted(fake.calls[-1]) == ["e1", "e2"] or {name for call in fake.calls for name in call} == {
        "e1",
        "e2",
    }


async def test_the_breaker_closes_after_a_call_that_is_answered(short_tmp_path: Path) -> None:
    fake = FakeIngest()
    fake.plan = lambda events: Unavailable("DRAINING", "away")
    async with (
        serving(short_tmp_path, fake) as target,
        asking(target, breaker_failures=1, breaker_seconds=0.05) as client,
    ):
        assert (await client.decide(event("e1", "u1"))).is_fallback
        fake.plan = lambda events: None
        await asyncio.sleep(0.06)
        assert not (await client.decide(event("e2", "u2"))).is_fallback
        assert not (await client.decide(event("e3", "u3"))).is_fallback


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ResourceExhausted("QUEUE_FULL", "full", retry_after=0.1), "QUEUE_FULL"),
        (Unauthenticated("KEY_UNKNOWN", "no such key"), "KEY_UNKNOWN"),
    ],
)
async def test_a_refused_call_costs_no_viewer_an_answer(
    short_tmp_path: Path, error: Exception, cause: str
) -> None:
    fake = FakeIngest()
    fake.plan = lambda events: error  # type: ignore[return-value]
    async with serving(short_tmp_path, fake) as target, asking(target) as client:
        answer = await client.decide(event("e1", "u1"))
        fake.plan = lambda events: None
        await until(lambda: client.unsent == 0)
    assert (answer.outcome, answer.cause) == (CAUTION, cause)


async def test_events_that_will_never_be_decided_say_so(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh), asking(f"unix:{mesh.folder}/ingest.sock") as client:
        good = await client.decide(event("e1", "u1"))
        bad = await client.decide(event("e2", "u1", ip_address="999.1.1.1"))
        conflict = await client.decide(event("e1", "u1", region="FR"))
    assert good.decision is not None
    assert bad.failure is not None
    assert [one.field for one in bad.failure.violations] == ["ip_address"]
    assert conflict.failure is not None
    assert conflict.failure.reason == "EVENT_ID_REUSED"
    assert (client.stats.decided, client.stats.failed, client.unsent) == (1, 2, 0)


async def test_what_cannot_be_accounted_for_is_not_taken(short_tmp_path: Path) -> None:
    async with serving(short_tmp_path, FakeIngest()) as target, asking(target) as client:
        with pytest.raises(ValueError, match="event_id is missing"):
            await client.decide(event("", "u1"))
        with pytest.raises(ValueError, match="more than 65,536 bytes"):
            await client.decide(event("e1", "u1", metadata_json=b"x" * 70_000))
    with pytest.raises(RuntimeError, match="closed"):
        await client.decide(event("e1", "u1"))
    with pytest.raises(ValueError, match="give credentials"):
        ClientSettings("ingest.example:50051", TENANT)


async def test_closing_gives_back_what_could_not_be_handed_over(short_tmp_path: Path) -> None:
    lost: list[event_pb2.Event] = []

    class Spooling(UsherClient):
        def on_lost(self, event: event_pb2.Event) -> None:
            lost.append(event)

    settings = ClientSettings(
        f"unix:{short_tmp_path}/nobody.sock", TENANT, deadline=0.05, max_unsent=2, breaker_failures=100
    )
    client = Spooling(settings)
    await client.__aenter__()
    for number in range(3):
        assert (await client.decide(event(f"e{number}", "u1"))).is_fallback
    await until(lambda: client.unsent + len(lost) >= 2)
    left = await client.close(grace=0.2)
    assert sorted(one.event_id for one in (*left, *lost)) == ["e0", "e1", "e2"]
    assert client.stats.lost == len(lost)


async def test_many_threads_share_one_blocking_client(mesh: FakeMesh, sqlite_url: str) -> None:
    answers = {}

    def work(number: int, client: BlockingUsherClient) -> None:
        answers[number] = client.decide(event(f"e{number}", f"u{number}"))

    def everything() -> None:
        settings = ClientSettings(f"unix:{mesh.folder}/ingest.sock", TENANT, deadline=PATIENT)
        with BlockingUsherClient(settings) as client:
            threads = [threading.Thread(target=work, args=(number, client)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            client.submit([event("later", "u1")])
            assert client.close() == []

    async with running_ingest(sqlite_url, mesh) as front:
        # gRPC's own loop serves here; the client has one in its thread.
        await asyncio.to_thread(everything)
        assert (await front.decision("later")).event_id == "later"
    assert sorted(answers) == list(range(8))
    assert all(answer.decision is not None for answer in answers.values())
