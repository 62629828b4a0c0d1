"""A viewer's order, batches, draining, and several processes on one database."""

from __future__ import annotations

import asyncio

import pytest

from services.common.errors import Unavailable
from tests.fakes import TENANT, FakeMesh, Front, chain, event, running_ingest, until
from usher.ingest.v1 import ingest_pb2

DECIDED = ingest_pb2.EVENT_STATUS_DECIDED


@pytest.mark.parametrize("name", ["decide", "submit"])
async def test_a_viewers_events_keep_their_order_over_calls(mesh: FakeMesh, url: str, name: str) -> None:
    mesh.scoring.delay = 0.003
    async with running_ingest(url, mesh, max_batch=8) as front:
        calls = []
        for number in range(40):
            events = [event(f"e{number}", "u1"), event(f"x{number}", f"v{number}")]
            batch = ingest_pb2.EventBatch(tenant=TENANT, events=[e.SerializeToString() for e in events])
            # One after the other at the door; none waits for the answer of the one before.
            calls.append(asyncio.create_task(getattr(front.app._door, name)(batch)))
            await asyncio.sleep(0)
        await asyncio.gather(*calls)
        await until(lambda: _no_pending(front))
        assert await front.profile("u1") == chain(f"e{n}" for n in range(40))
        assert not mesh.scoring.shared


async def test_a_viewer_is_in_one_batch_at_a_time(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.delay = 0.005
    async with running_ingest(sqlite_url, mesh, max_batch=4, batches_in_flight=4) as front:
        calls = [front.decide([event(f"c{c}.{n}", f"u{(c + n) % 3}") for n in range(6)]) for c in range(20)]
        answers = [one for call in await asyncio.gather(*calls) for one in call]
        assert len(answers) == 120
        assert {a.status for a in answers} == {DECIDED}
        assert not mesh.scoring.shared
        for user in ("u0", "u1", "u2"):
            assert int.from_bytes((await front.profile(user))[:8], "little") == 40
        assert max(len(r.events) for r in mesh.scoring.requests) <= 4


async def test_a_batch_holds_one_tenant(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.delay = 0.01
    async with running_ingest(sqlite_url, mesh) as front:
        calls = [front.decide([event(f"e{n}", f"u{n}")], f"tenant-{n % 3}") for n in range(30)]
        await asyncio.gather(*calls)
        assert sum(len(r.events) for r in mesh.scoring.requests) == 30
        for request in mesh.scoring.requests:
            own = [r for r in mesh.compliance.requests if r.tenant == request.tenant]
            assert set(request.events) <= {e for r in own for e in r.events}
        for number in range(30):
            decision = await front.decision(f"e{number}", f"tenant-{number % 3}")
            assert decision.tenant == f"tenant-{number % 3}"


async def test_large_events_do_not_make_a_message_too_large(mesh: FakeMesh, sqlite_url: str) -> None:
    """A batch is bounded in bytes as well: gRPC refuses messages above 4 MiB."""
    mesh.compliance.gate = asyncio.Event()
    metadata = b'{"a":"' + b"x" * 16_000 + b'"}'
    extra = {"metadata_json": metadata, "unknown_json": metadata}
    async with running_ingest(sqlite_url, mesh, batches_in_flight=1) as front:
        first = asyncio.create_task(front.decide([event("e", "v")]))
        await until(lambda: bool(mesh.compliance.requests))
        calls = [
            asyncio.create_task(front.decide([event(f"c{c}.{n}", f"u{n}", **extra) for n in range(100)]))
            for c in range(3)
        ]
        await until(lambda: len(front.app._pipeline._queue) == 300)
        mesh.compliance.gate.set()
        answers = [one for call in await asyncio.gather(first, *calls) for one in call]
        assert len(answers) == 301
        assert not any(a.decision.degraded for a in answers)
        for number in range(100):
            assert await front.profile(f"u{number}") == chain(f"c{c}.{number}" for c in range(3))


async def test_more_viewers_than_the_cache_holds(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh, profile_cache=2) as front:
        for round_ in range(3):
            results = await front.decide([event(f"e{round_}.{n}", f"u{n}") for n in range(20)])
            assert {r.status for r in results} == {DECIDED}
        for number in range(20):
            assert await front.profile(f"u{number}") == chain(f"e{r}.{number}" for r in range(3))


async def test_draining_finishes_what_is_under_way(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.delay = 0.05
    async with running_ingest(url, mesh, max_batch=4) as front:
        call = asyncio.create_task(front.decide([event(f"e{n}", "u1") for n in range(20)]))
        await until(lambda: bool(mesh.scoring.requests))
        await front.submit([event("s", "u1")])
    # Leaving the block drained: the call was answered and the submitted event was decided or still waits.
    assert {r.status for r in await call} == {DECIDED}
    async with running_ingest(url, mesh) as front:
        await front.decision("s")
        await until(lambda: _no_pending(front))
        assert await front.profile("u1") == chain([*(f"e{n}" for n in range(20)), "s"])
        assert (await front.books()).balanced


async def test_a_draining_process_takes_nothing_in(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        front.app._door.close()
        for call in (front.decide([event("e1")]), front.submit([event("e2")])):
            with pytest.raises(Unavailable) as refused:
                await call
            assert refused.value.reason == "DRAINING"
        assert (await front.books()).received == 0


async def test_draining_leaves_the_inbox_to_the_next_process(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.delay = 0.2
    async with running_ingest(
        sqlite_url, mesh, max_batch=1, batches_in_flight=1, max_queued_events=2000
    ) as front:
        front.app._shards.accepted = lambda item: None  # type: ignore[method-assign]
        take = front.app._shards._take_waiting
        front.app._shards._take_waiting = _nothing  # type: ignore[method-assign]
        await front.submit([event(f"e{n}", "u1") for n in range(50)])
        front.app._shards.close()
        await take()
        assert not front.app._pipeline._under_way
        async with asyncio.timeout(60):
            await front.app.drain()
        assert await front.app._store.database.read(front.app._store.inbox_rows, list(range(64)), 100)
    mesh.scoring.delay = 0.0
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decision("e49")
        await until(lambda: _no_pending(front))
        assert await front.profile("u1") == chain(f"e{n}" for n in range(50))


async def test_two_processes_share_viewers_and_the_inbox(mesh: FakeMesh, postgres_url: str) -> None:
    mesh.scoring.delay = 0.002
    async with (
        running_ingest(postgres_url, mesh, socket="a", max_batch=8) as a,
        running_ingest(postgres_url, mesh, socket="b", max_batch=8) as b,
    ):
        await until(lambda: len(a.app._shards.owned) == 32 and len(b.app._shards.owned) == 32)
        assert not a.app._shards.owned & b.app._shards.owned
        calls = []
        for number in range(20):
            front = a if number % 2 else b
            calls.append(front.decide([event(f"d{number}.{n}", f"u{n}") for n in range(5)]))
            calls.append(front.submit([event(f"s{number}.{n}", f"u{n}") for n in range(5)]))
            # The same events once more at the other process.
            other = b if number % 2 else a
            calls.append(other.submit([event(f"s{number}.{n}", f"u{n}") for n in range(5)]))
        answers = [one for call in await asyncio.gather(*calls) for one in call]
        refused = [a for a in answers if a.status == ingest_pb2.EVENT_STATUS_REFUSED]
        assert not refused
        await until(lambda: _no_pending(a), 20)
        for n in range(5):
            assert int.from_bytes((await a.profile(f"u{n}"))[:8], "little") == 40
        books = await a.books()
        await b.books()
        books = await a.books()
        assert books.received == 300
        assert books.decided == 200
        assert books.balanced


async def test_the_shards_of_a_process_that_ends_are_taken_over(mesh: FakeMesh, postgres_url: str) -> None:
    async with running_ingest(postgres_url, mesh, socket="a") as a:
        async with running_ingest(postgres_url, mesh, socket="b"):
            await until(lambda: len(a.app._shards.owned) == 32)
        await until(lambda: len(a.app._shards.owned) == 64)
        await a.submit([event(f"e{n}", f"u{n}") for n in range(50)])
        await until(lambda: _no_pending(a))
        assert (await a.books(TENANT)).decided == 50


async def _no_pending(front: Front) -> bool:
    return (await front.books()).pending == 0


async def _nothing() -> None:
    return None
