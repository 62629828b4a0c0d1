"""Both doors: what becomes of an event, and of the same event sent again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.common.errors import DeadlineExceeded, InvalidArgument, NotFound, ResourceExhausted
from services.ingest.records import Commit, Committed
from services.ingest.shards import item_of
from tests.fakes import (
    TENANT,
    FakeMesh,
    Front,
    chain,
    event,
    now_ms,
    running_ingest,
    until,
    violation_set,
)
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

ACCEPTED = ingest_pb2.EVENT_STATUS_ACCEPTED
DECIDED = ingest_pb2.EVENT_STATUS_DECIDED
DUPLICATE = ingest_pb2.EVENT_STATUS_DUPLICATE
CONFLICT = ingest_pb2.EVENT_STATUS_CONFLICT
FAILED = ingest_pb2.EVENT_STATUS_FAILED
DAY_MS = 86_400_000


async def test_an_event_is_decided_and_kept(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        [result] = await front.decide([event("e1", "u1")])
        assert result.status == DECIDED
        assert result.event_id == "e1"
        decision = result.decision
        assert decision.outcome == decision_pb2.OUTCOME_ALLOW
        assert (decision.event_id, decision.tenant, decision.user_id) == ("e1", TENANT, "u1")
        assert decision.policy_set.startswith("ps_")
        assert decision.folded
        assert decision.sighted
        assert not decision.degraded
        assert decision.verdict.status == decision_pb2.COMPLIANCE_STATUS_COMPLIANT
        assert decision.HasField("assessment")
        assert decision.position > 0
        assert len(decision.stage_us) == 5
        assert await front.decision("e1") == decision
        assert await front.profile("u1") == chain(["e1"])


async def test_the_same_event_again_answers_the_first_decision_also_after_a_restart(
    mesh: FakeMesh, url: str
) -> None:
    first_event, other = event("e1", "u1"), event("e1", "u1", device_id="d2")
    other.event_time.CopyFrom(first_event.event_time)
    async with running_ingest(url, mesh) as front:
        [first] = await front.decide([first_event])
        [repeat] = await front.decide([first_event])
        [conflict] = await front.decide([other])
        calls = len(mesh.scoring.requests)
    async with running_ingest(url, mesh) as front:
        [later] = await front.decide([first_event])
        [later_conflict] = await front.decide([other])
        [submitted] = await front.submit([first_event])
        [submitted_conflict] = await front.submit([other])
        assert await front.profile("u1") == chain(["e1"])
        books = await front.books()
    assert first.status == DECIDED
    for one in (repeat, later):
        assert one.status == DUPLICATE
        assert one.decision.SerializeToString(deterministic=True) == first.decision.SerializeToString(
            deterministic=True
        )
    for one in (conflict, later_conflict, submitted_conflict):
        assert one.status == CONFLICT
        assert one.failure.reason == "EVENT_ID_REUSED"
        assert not one.HasField("decision")
    assert submitted.status == DUPLICATE
    assert len(mesh.scoring.requests) == calls, "a repeat is not decided again"
    assert (books.received, books.accepted, books.duplicate, books.conflict) == (7, 1, 3, 3)
    assert books.balanced


async def test_the_bytes_of_a_repeat_are_the_bytes_of_the_first_answer(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        one = event("e1", "u1")
        batch = ingest_pb2.EventBatch(tenant=TENANT, events=[one.SerializeToString()])
        first, repeat = await front.raw_decide(batch), await front.raw_decide(batch)
    # The two answers differ in the status of the one result alone (field 1: DECIDED, DUPLICATE).
    assert b"\x08\x02" in first
    assert repeat == first.replace(b"\x08\x02", b"\x08\x03", 1)


async def test_metadata_in_another_order_is_the_same_event(mesh: FakeMesh, sqlite_url: str) -> None:
    one = event("e1", metadata_json=b'{"a": 1, "b": {"c": 2, "d": 3}}', event_type="PLAY")
    same = event("e1", metadata_json=b'{"b":{"d":3,"c":2},"a":1}', event_type="play")
    same.event_time.CopyFrom(one.event_time)
    async with running_ingest(sqlite_url, mesh) as front:
        assert [r.status for r in await front.decide([one])] == [DECIDED]
        assert [r.status for r in await front.decide([same])] == [DUPLICATE]


async def test_another_tenant_may_use_the_same_id(mesh: FakeMesh, sqlite_url: str) -> None:
    one = event("e1", "u1")
    async with running_ingest(sqlite_url, mesh) as front:
        assert [r.status for r in await front.decide([one], "acme")] == [DECIDED]
        assert [r.status for r in await front.decide([one], "other")] == [DECIDED]
        assert await front.profile("u1", "acme") == chain(["e1"])
        assert await front.profile("u1", "other") == chain(["e1"])


async def test_two_equal_ids_in_one_call(mesh: FakeMesh, url: str) -> None:
    one, other = event("e1", "u1", at_ms=now_ms()), event("e1", "u1", at_ms=now_ms() - 1000)
    async with running_ingest(url, mesh) as front:
        decided, duplicate, conflict = await front.decide([one, one, other])
        assert [decided.status, duplicate.status, conflict.status] == [DECIDED, DUPLICATE, CONFLICT]
        assert duplicate.decision == decided.decision
        two, three = event("e2", "u1", at_ms=now_ms()), event("e2", "u1", at_ms=now_ms() - 1000)
        statuses = [r.status for r in await front.submit([two, two, three])]
        assert statuses == [ACCEPTED, DUPLICATE, CONFLICT]
        await front.decision("e2")
        await until(lambda: _settled(front))
        books = await front.books()
        assert (books.received, books.accepted, books.duplicate, books.conflict) == (6, 2, 2, 2)
        assert books.decided == 2
        assert books.balanced
        assert await front.profile("u1") == chain(["e1", "e2"])


async def test_repeats_in_one_submit_are_counted_as_they_are_answered(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    one, other = event("e1", "u1", at_ms=now_ms()), event("e1", "u1", at_ms=now_ms() - 1000)
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([one])
        statuses = [r.status for r in await front.submit([other, other])]
        assert statuses == [CONFLICT, CONFLICT]
        books = await front.books()
        assert (books.received, books.duplicate, books.conflict) == (3, 0, 2)
        assert books.balanced


async def test_submitted_events_are_decided_afterwards_in_order(mesh: FakeMesh, url: str) -> None:
    ids = [f"e{i}" for i in range(300)]
    async with running_ingest(url, mesh, max_batch=64) as front:
        results = await front.submit([event(i, "u1") for i in ids])
        assert {r.status for r in results} == {ACCEPTED}
        assert [r.event_id for r in results] == ids
        await front.decision(ids[-1])
        await until(lambda: _settled(front))
        assert await front.profile("u1") == chain(ids)
        books = await front.books()
        assert (books.accepted, books.decided, books.pending) == (300, 300, 0)
        assert books.balanced


async def test_a_submitted_event_may_be_decided_at_the_other_door(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.gate = asyncio.Event()
    one = event("e1", "u1")
    async with running_ingest(url, mesh) as front:
        [accepted] = await front.submit([one])
        with pytest.raises(NotFound) as pending:
            await front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant=TENANT, event_id="e1"))
        # Taken up out of the inbox: else the other door might decide it first, and rightly so.
        await until(lambda: bool(mesh.compliance.requests))
        waiting = asyncio.create_task(front.decide([one]))
        await asyncio.sleep(0.1)
        mesh.scoring.gate.set()
        [result] = await waiting
        await until(lambda: _settled(front))
        books = await front.books()
        assert await front.profile("u1") == chain(["e1"])
    assert accepted.status == ACCEPTED
    assert pending.value.reason == "DECISION_PENDING"
    assert result.status == DUPLICATE
    assert result.decision.event_id == "e1"
    assert (books.received, books.accepted, books.duplicate, books.decided) == (2, 1, 1, 1)
    assert books.balanced


async def test_an_event_that_waits_in_another_process_inbox_counts_at_both_doors(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    one = event("e1", "u1")
    async with running_ingest(sqlite_url, mesh) as front:
        # Nobody takes the row up: as a shard that another process holds.
        front.app._shards._take_waiting = _nothing  # type: ignore[method-assign]
        front.app._shards.accepted = lambda item: None  # type: ignore[method-assign]
        assert [r.status for r in await front.submit([one])] == [ACCEPTED]
        [result] = await front.decide([one])
        assert result.decision.event_id == "e1"
        books = await front.books()
        assert (books.received, books.accepted, books.duplicate) == (2, 1, 1)
        assert (books.decided, books.pending) == (1, 0)
        assert books.balanced


async def test_what_waits_in_the_inbox_is_decided_after_a_restart(mesh: FakeMesh, url: str) -> None:
    ids = [f"e{i}" for i in range(10)]
    async with running_ingest(url, mesh) as front:
        front.app._shards._take_waiting = _nothing  # type: ignore[method-assign]
        front.app._shards.accepted = lambda item: None  # type: ignore[method-assign]
        await front.submit([event(i, "u1") for i in ids])
        assert (await front.books()).pending == 10
    async with running_ingest(url, mesh) as front:
        await front.decision(ids[-1])
        await until(lambda: _settled(front))
        assert await front.profile("u1") == chain(ids)
        assert (await front.books()).balanced


async def test_a_bad_event_fails_alone_with_all_its_errors_and_its_id_is_free(
    mesh: FakeMesh, url: str
) -> None:
    bad = event("e2", "u1", device_id="<script>", region="de", ip_address="::ffff:192.0.2.1")
    async with running_ingest(url, mesh) as front:
        good, failed, last = await front.decide([event("e1", "u1"), bad, event("e3", "u1")])
        assert [good.status, failed.status, last.status] == [DECIDED, FAILED, DECIDED]
        assert failed.event_id == "e2"
        assert failed.failure.reason == "SECURITY"
        assert violation_set(failed.failure.violations) == {
            ("device_id", "IDENTIFIER_INVALID"),
            ("device_id", "ATTACK_XSS"),
            ("region", "REGION_INVALID"),
            ("ip_address", "IP_ADDRESS_IPV4_MAPPED"),
        }
        kept = await front.ingest.GetFailedEvent(
            ingest_pb2.GetFailedEventRequest(tenant=TENANT, failed_id=failed.failure.failed_id)
        )
        assert event_pb2.Event.FromString(kept.failed_event.payload) == bad
        assert kept.failed_event.failure == failed.failure
        assert kept.failed_event.component == "ingest"
        assert not kept.failed_event.replayed
        [corrected] = await front.decide([event("e2", "u1")])
        assert corrected.status == DECIDED
        [submitted] = await front.submit([event("", "u1")])
        assert submitted.status == FAILED
        assert submitted.event_id == submitted.failure.failed_id
        books = await front.books()
        assert (books.received, books.accepted, books.decided, books.failed) == (5, 5, 3, 2)
        assert books.balanced


async def test_an_event_too_far_ahead_is_failed(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        ahead = event("e1", at_ms=now_ms() + 6 * 60_000)
        soon = event("e2", at_ms=now_ms() + 4 * 60_000)
        failed, decided = await front.decide([ahead, soon])
        assert failed.status == FAILED
        assert failed.failure.reason == "IN_THE_FUTURE"
        assert decided.status == DECIDED


async def test_an_event_that_a_service_cannot_decide_fails_alone(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.undecidable = {"e2": "MALFORMED_EVENT"}
    mesh.compliance.undecidable = {"e4": "MALFORMED_EVENT"}
    async with running_ingest(url, mesh) as front:
        results = await front.decide([event(f"e{i}", "u1") for i in range(1, 6)])
        assert [r.status for r in results] == [DECIDED, FAILED, DECIDED, FAILED, DECIDED]
        assert results[1].failure.reason == "UNDECIDABLE"
        listed = await front.ingest.ListFailedEvents(ingest_pb2.ListFailedEventsRequest(tenant=TENANT))
        assert {one.event_id: one.component for one in listed.failed_events} == {
            "e2": "scoring",
            "e4": "compliance",
        }
        assert all(not one.payload for one in listed.failed_events)
        mesh.scoring.undecidable = {"e7": "MALFORMED_EVENT"}
        await front.submit([event("e6", "u1"), event("e7", "u1"), event("e8", "u1")])
        await front.decision("e8")
        await until(lambda: _settled(front))
        books = await front.books()
        assert (books.received, books.accepted, books.decided, books.failed) == (8, 8, 5, 3)
        assert books.balanced
        assert await front.profile("u1") == chain(["e1", "e3", "e5", "e6", "e8"])
        with pytest.raises(NotFound) as unknown:
            await front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant=TENANT, event_id="e7"))
        assert unknown.value.reason == "DECISION_UNKNOWN"


async def test_a_stale_reading_of_the_inbox_fails_no_event_twice(mesh: FakeMesh, sqlite_url: str) -> None:
    """A row that was read just before its event failed comes into the pipeline once more."""
    mesh.scoring.undecidable = {"e1": "MALFORMED_EVENT"}
    async with running_ingest(sqlite_url, mesh) as front:
        store, shards = front.app._store, front.app._shards
        mesh.compliance.gate = asyncio.Event()
        await front.submit([event("e1", "u1")])
        rows = await store.database.read(store.inbox_rows, sorted(shards.owned), 10)
        mesh.compliance.gate.set()
        await until(lambda: _settled(front))
        [row] = rows
        front.app._pipeline.enqueue(item_of(row))
        await front.app._pipeline.drained()
        books = await front.books()
        assert (books.accepted, books.failed, books.decided) == (1, 1, 0)
        assert books.balanced


def _malformed() -> bytes:
    return b"\x0a\x05abc"  # event_id of 5 bytes of which 3 are there


def _not_utf8() -> bytes:
    return b"\x0a\x03a\xffb"


@pytest.mark.parametrize("door", ["DecideEvents", "SubmitEvents"])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (_malformed(), "MALFORMED_MESSAGE"),
        (_not_utf8(), "MALFORMED_MESSAGE"),
        (event("e9", metadata_json=b"{}" + b" " * 70_000).SerializeToString(), "EVENT_TOO_LARGE"),
    ],
    ids=["truncated", "not-utf-8", "too-large"],
)
async def test_a_malformed_event_refuses_the_call_and_says_where(
    mesh: FakeMesh, sqlite_url: str, door: str, bad: bytes, reason: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        events = [event(f"e{i}").SerializeToString() for i in range(4)]
        events.insert(2, bad)
        with pytest.raises(InvalidArgument) as refused:
            await front.raw(door, ingest_pb2.EventBatch(tenant=TENANT, events=events))
        assert refused.value.reason == reason
        assert refused.value.metadata["position"] == "2"
        if reason == "EVENT_TOO_LARGE":
            assert refused.value.metadata["limit"] == "65536"
        assert [v.field for v in refused.value.violations] == ["events[2]"]
        books = await front.books()
        assert books.received == 5
        assert dict(books.refused_by_reason) == {reason: 5}
        assert books.balanced
        assert not mesh.scoring.requests


async def test_an_event_of_exactly_65536_bytes_is_taken(mesh: FakeMesh, sqlite_url: str) -> None:
    one = event("e1", unmapped={"payload": b"x" * 60_000})
    one.unmapped.payload += b"x" * (65_536 - one.ByteSize())
    assert one.ByteSize() == 65_536
    async with running_ingest(sqlite_url, mesh) as front:
        assert [r.status for r in await front.decide([one])] == [FAILED]


async def test_more_than_2000_events_are_refused_and_2000_are_not(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(InvalidArgument) as refused:
            await front.decide([event(f"e{i}", f"u{i}") for i in range(2001)])
        assert refused.value.reason == "TOO_MANY_EVENTS"
        assert refused.value.metadata["limit"] == "2000"
        results = await front.decide([event(f"e{i}", f"u{i}") for i in range(2000)])
        assert [r.event_id for r in results] == [f"e{i}" for i in range(2000)]
        assert {r.status for r in results} == {DECIDED}
        books = await front.books()
        assert (books.received, books.refused, books.decided) == (4001, 2001, 2000)
        assert books.balanced


@pytest.mark.parametrize("tenant", ["", "Acme", "-acme", "a" * 64, "a_b", "a b", "ü"])
async def test_a_bad_tenant_is_refused(mesh: FakeMesh, sqlite_url: str, tenant: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        calls = [
            front.decide([event()], tenant),
            front.submit([event()], tenant),
            front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant=tenant, event_id="e1")),
            front.ingest.ListDecisions(ingest_pb2.ListDecisionsRequest(tenant=tenant)),
            front.ingest.ListFailedEvents(ingest_pb2.ListFailedEventsRequest(tenant=tenant)),
            front.ingest.GetFailedEvent(ingest_pb2.GetFailedEventRequest(tenant=tenant, failed_id="f")),
            front.ingest.SetMode(ingest_pb2.SetModeRequest(tenant=tenant, mode=decision_pb2.MODE_OBSERVE)),
        ]
        for call in calls:
            with pytest.raises(InvalidArgument) as refused:
                await call
            assert refused.value.reason == "TENANT_INVALID"
        [good] = await front.decide([event()], "a" * 63)
        assert good.status == DECIDED


async def test_a_full_queue_refuses_with_a_delay(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.compliance.gate = asyncio.Event()
    async with running_ingest(
        sqlite_url, mesh, max_batch=1, max_call_events=4, max_queued_events=4, batches_in_flight=1
    ) as front:
        running = asyncio.create_task(front.decide([event("e0", "u0")]))
        await until(lambda: bool(mesh.compliance.requests))
        queued = asyncio.create_task(front.decide([event(f"e{i}", f"u{i}") for i in range(1, 5)]))
        await until(lambda: len(front.app._pipeline._queue) == 4)
        with pytest.raises(ResourceExhausted) as refused:
            await front.decide([event("e5", "u5")])
        assert refused.value.reason == "QUEUE_FULL"
        assert refused.value.retry_after is not None
        assert refused.value.retry_after > 0
        mesh.compliance.gate.set()
        assert [r.status for r in await running + await queued] == [DECIDED] * 5
        books = await front.books()
        assert dict(books.refused_by_reason) == {"QUEUE_FULL": 1}
        assert (books.received, books.decided) == (6, 5)
        assert books.balanced
        assert [r.status for r in await front.decide([event("e5", "u5")])] == [DECIDED]


async def test_the_books_close_after_a_mixed_stream_of_concurrent_calls(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.undecidable = {"e13": "MALFORMED_EVENT"}
    at = now_ms()

    def call(number: int) -> list[event_pb2.Event]:
        events = [event(f"e{i}", f"u{i % 7}", at_ms=at) for i in range(number, number + 20)]
        events.append(event(f"e{number}", "u1", at_ms=at - 5000))  # another event under a used id
        events.append(event(f"bad{number}", region=""))
        events.append(event(f"old{number}", at_ms=at - 31 * DAY_MS))
        return events

    async with running_ingest(url, mesh, max_batch=16) as front:
        calls = [front.decide(call(n)) if n % 20 else front.submit(call(n)) for n in range(0, 100, 10)]
        answers = [one for results in await asyncio.gather(*calls) for one in results]
        await until(lambda: _settled(front))
        books = await front.books()
        assert len(answers) == 230
        assert books.received == 230
        assert books.balanced
        assert (books.refused, dict(books.refused_by_reason)) == (10, {"TOO_OLD": 10})
        assert books.pending == 0
        # An event decided at one door while it waits at the other is counted as a repeat and answered as decided.
        assert books.duplicate >= sum(1 for a in answers if a.status == DUPLICATE)
        assert books.conflict == sum(1 for a in answers if a.status == CONFLICT)


async def test_a_call_without_events_answers_nothing(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        assert await front.decide([]) == []
        assert await front.submit([]) == []


async def test_a_request_that_is_no_message_is_refused(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(InvalidArgument) as refused:
            await front.raw_bytes("DecideEvents", b"\x12\x7fabc")
        assert refused.value.reason == "MALFORMED_MESSAGE"


async def test_a_caller_that_gives_up_takes_nothing_with_it(mesh: FakeMesh, sqlite_url: str) -> None:
    """What a cancelled call had failed is kept once, and later transactions go on."""
    async with running_ingest(sqlite_url, mesh) as front:
        store = front.app._store
        commit = store.commit
        started, go_on = threading.Event(), threading.Event()

        def slow(transaction: Commit) -> Committed:
            if transaction.failed and not started.is_set():
                started.set()
                go_on.wait(10)
            return commit(transaction)

        store.commit = slow  # type: ignore[method-assign]
        with pytest.raises(DeadlineExceeded):
            await front.decide([event("bad", region="")], timeout=0.3)
        assert started.is_set()
        await asyncio.sleep(0.1)
        go_on.set()
        assert [r.status for r in await front.decide([event("e1")])] == [DECIDED]
        books = await front.books()
        assert (books.received, books.accepted, books.failed, books.decided) == (2, 2, 1, 1)
        assert books.balanced
        await front.app.healthy()


async def _settled(front: Front) -> bool:
    books = await front.books()
    return books.pending == 0 and not front.app._pipeline._under_way


async def _nothing() -> None:
    return None
