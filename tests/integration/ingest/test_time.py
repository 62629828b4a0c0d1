"""Ages of events: too old, old, late, in time; imports are aged against their own newest event."""

from __future__ import annotations

from tests.fakes import TENANT, FakeMesh, chain, event, now_ms, running_ingest
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

MINUTE_MS = 60_000
DAY_MS = 86_400_000
LATE = 1 << event_pb2.ITEM_FLAG_LATE
OLD = 1 << event_pb2.ITEM_FLAG_OLD
IMPORT = 1 << event_pb2.ITEM_FLAG_IMPORT


async def test_live_events_by_age(mesh: FakeMesh, sqlite_url: str) -> None:
    now = now_ms()
    ages = {
        "in-time": now - 14 * MINUTE_MS,
        "late": now - 16 * MINUTE_MS,
        "still-late": now - 7 * DAY_MS + MINUTE_MS,
        "old": now - 7 * DAY_MS - MINUTE_MS,
        "oldest": now - 30 * DAY_MS + MINUTE_MS,
        "too-old": now - 30 * DAY_MS - MINUTE_MS,
    }
    async with running_ingest(sqlite_url, mesh) as front:
        results = await front.decide([event(name, at_ms=at) for name, at in ages.items()])
        assert [r.status for r in results[:-1]] == [ingest_pb2.EVENT_STATUS_DECIDED] * 5
        assert [r.decision.item_flags for r in results[:-1]] == [0, LATE, LATE, OLD, OLD]
        assert [r.decision.folded for r in results[:-1]] == [True, True, True, False, False]
        refused = results[-1]
        assert refused.status == ingest_pb2.EVENT_STATUS_REFUSED
        assert refused.failure.reason == "TOO_OLD"
        assert refused.failure.retry_after_ms == 0, "trying again does not help"
        assert not refused.failure.failed_id
        assert await front.profile("u1") == chain(["in-time", "late", "still-late"])
        assert set(mesh.fraud.seen) == {(TENANT, i) for i in ("in-time", "late", "still-late")}
        books = await front.books()
        assert dict(books.refused_by_reason) == {"TOO_OLD": 1}
        assert books.balanced


async def test_a_live_event_of_long_ago_is_too_old_at_the_other_door_too(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        [refused] = await front.submit([event("e1", at_ms=now_ms() - 40 * DAY_MS)])
        assert refused.failure.reason == "TOO_OLD"
        books = await front.books()
        assert (books.received, books.refused, books.pending) == (1, 1, 0)


async def test_an_old_event_changes_nothing_while_scoring_is_away(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.away()
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("old", at_ms=now_ms() - 8 * DAY_MS)])
        mesh.scoring.back()
        await front.decide([event("new")])
        assert await front.profile("u1") == chain(["new"])


async def test_imports_are_aged_against_their_newest_event_also_after_a_restart(
    mesh: FakeMesh, url: str
) -> None:
    past = now_ms() - 400 * DAY_MS

    def one(name: str, at: int, import_id: str = "log-1") -> event_pb2.Event:
        return event(name, at_ms=at, origin=event_pb2.ORIGIN_IMPORT, import_id=import_id)

    async with running_ingest(url, mesh) as front:
        results = await front.decide(
            [
                one("a", past),
                one("b", past - MINUTE_MS),
                one("c", past - 20 * MINUTE_MS),
                one("d", past - 8 * DAY_MS),
                one("e", past + DAY_MS),
                one("f", past),
                one("other", past - 100 * DAY_MS, "log-2"),
            ]
        )
        flags = [r.decision.item_flags for r in results]
        assert flags == [
            IMPORT,
            IMPORT,
            IMPORT | LATE,
            IMPORT | OLD,
            IMPORT,
            IMPORT | LATE,
            IMPORT,
        ]
    async with running_ingest(url, mesh) as front:
        results = await front.decide(
            [one("g", past), one("h", past - 10 * DAY_MS), one("i", past + 2 * DAY_MS)]
        )
        assert [r.decision.item_flags for r in results] == [IMPORT | LATE, IMPORT | OLD, IMPORT]


async def test_the_import_of_another_tenant_is_another_import(mesh: FakeMesh, sqlite_url: str) -> None:
    past = now_ms() - 400 * DAY_MS
    one = event("a", at_ms=past, origin=event_pb2.ORIGIN_IMPORT, import_id="log")
    earlier = event("b", at_ms=past - 300 * DAY_MS, origin=event_pb2.ORIGIN_IMPORT, import_id="log")
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([one], "acme")
        [result] = await front.decide([earlier], "other")
        assert result.decision.item_flags == IMPORT
