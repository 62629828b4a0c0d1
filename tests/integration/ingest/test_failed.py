"""Failed events: a poison event fails alone; what is kept can be read, is replayed once, and is encrypted with a key."""

from __future__ import annotations

import asyncio
import base64

import pytest

from services.common.errors import InvalidArgument, NotFound
from services.ingest import tables
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

DECIDED = ingest_pb2.EVENT_STATUS_DECIDED
DUPLICATE = ingest_pb2.EVENT_STATUS_DUPLICATE
FAILED = ingest_pb2.EVENT_STATUS_FAILED
REFUSED = ingest_pb2.EVENT_STATUS_REFUSED

KEY = base64.b64encode(bytes(range(32))).decode()
NEWER_KEY = base64.b64encode(bytes(range(32, 64))).decode()


async def replay(front: Front, *failed_ids: str, **fields: object) -> list[ingest_pb2.EventResult]:
    request = ingest_pb2.ReplayFailedEventsRequest(tenant=TENANT, failed_ids=failed_ids, **fields)  # type: ignore[arg-type]
    answer = await front.ingest.ReplayFailedEvents(request)
    assert [one.failed_id for one in answer.results] == list(failed_ids)
    return [one.result for one in answer.results]


async def kept(front: Front, failed_id: str) -> ingest_pb2.FailedEvent:
    request = ingest_pb2.GetFailedEventRequest(tenant=TENANT, failed_id=failed_id)
    return (await front.ingest.GetFailedEvent(request)).failed_event


async def books(front: Front) -> tuple[int, int, int, int, int]:
    found = await front.books()
    assert found.balanced
    return found.received, found.accepted, found.decided, found.failed, found.superseded


@pytest.mark.parametrize("service", ["compliance", "scoring"])
async def test_a_poison_event_fails_alone(mesh: FakeMesh, sqlite_url: str, service: str) -> None:
    getattr(mesh, service).poison = {"e5"}
    async with running_ingest(sqlite_url, mesh) as front:
        results = await front.decide([event(f"e{n}", f"u{n % 3}") for n in range(9)])
        assert [one.status for one in results] == [FAILED if n == 5 else DECIDED for n in range(9)]
        assert not any(one.decision.degraded for one in results)
        assert results[5].failure.reason == "UNDECIDABLE"
        assert (await kept(front, results[5].failure.failed_id)).component == service
        assert await books(front) == (9, 9, 8, 1, 0)
        # The defect is gone: the event is decided as it was kept.
        getattr(mesh, service).poison = set()
        [again] = await replay(front, results[5].failure.failed_id)
        assert again.status == DECIDED
        assert await books(front) == (9, 9, 9, 0, 0)


async def test_a_poison_event_of_the_inbox_fails_alone(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.poison = {"e2"}
    async with running_ingest(url, mesh) as front:
        await front.submit([event(f"e{n}", f"u{n}") for n in range(5)])
        for _ in range(400):
            found = await front.books()
            if not found.pending:
                break
            await asyncio.sleep(0.05)
        assert await books(front) == (5, 5, 4, 1, 0)


async def test_a_service_that_refuses_everything_counts_as_away(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.poison = {f"e{n}" for n in range(4)}
    async with running_ingest(sqlite_url, mesh) as front:
        results = await front.decide([event(f"e{n}", f"u{n}") for n in range(4)])
        assert [one.status for one in results] == [DECIDED] * 4
        assert all(list(one.decision.degraded) == [decision_pb2.SERVICE_SCORING] for one in results)
        assert await books(front) == (4, 4, 4, 0, 0)


async def test_a_replay_moves_failed_to_decided_once(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.undecidable = {"e1": "MALFORMED_EVENT"}
    async with running_ingest(url, mesh) as front:
        [failed] = await front.decide([event("e1", "u1")])
        failed_id = failed.failure.failed_id
        [again] = await replay(front, failed_id)
        assert (again.status, again.failure.reason) == (FAILED, "UNDECIDABLE")
        assert again.failure.failed_id == failed_id
        one = await kept(front, failed_id)
        assert (one.replayed, one.replays, one.replay_failure.reason) == (False, 1, "UNDECIDABLE")
        assert await books(front) == (1, 1, 0, 1, 0)

        mesh.scoring.undecidable = {}
        # Ten at once: one of them decides it, the others answer its decision.
        many = await asyncio.gather(*(replay(front, failed_id) for _ in range(10)))
        statuses = [one.status for [one] in many]
        assert sorted(statuses) == [DECIDED] + [DUPLICATE] * 9
        assert len({one.decision.position for [one] in many}) == 1
        assert await books(front) == (1, 1, 1, 0, 0)
        one = await kept(front, failed_id)
        assert one.replayed
        assert one.replayed_time.ToMilliseconds() <= now_ms()
        [repeat] = await replay(front, failed_id)
        assert repeat.status == DUPLICATE
        assert repeat.decision.event_id == "e1"
        # The sender's own repeat finds the same decision.
        [sent_again] = await front.decide([event("e1", "u1", at_ms=event_ms_of(one))])
        assert sent_again.status == DUPLICATE
        assert await books(front) == (2, 1, 1, 0, 0)


def event_ms_of(failed: ingest_pb2.FailedEvent) -> int:
    return event_pb2.Event.FromString(failed.payload).event_time.ToMilliseconds()


async def test_what_was_sent_again_corrected_is_superseded_by_its_replay(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        [failed] = await front.decide([event("e1", "u1", at_ms=now_ms() + 3_600_000)])
        assert failed.failure.reason == "IN_THE_FUTURE"
        [corrected] = await front.decide([event("e1", "u1")])
        assert corrected.status == DECIDED
        assert await books(front) == (2, 2, 1, 1, 0)
        # Its time has come as well; the id is decided.
        [again] = await replay(front, failed.failure.failed_id)
        assert again.status == FAILED
        mesh.scoring.undecidable = {"e2": "MALFORMED_EVENT"}
        [failed] = await front.decide([event("e2", "u1")])
        mesh.scoring.undecidable = {}
        await front.decide([event("e2", "u1", content_id="other")])
        [again] = await replay(front, failed.failure.failed_id)
        assert again.status == DUPLICATE
        assert again.decision.event_id == "e2"
        assert await books(front) == (4, 4, 2, 1, 1)
        assert (await kept(front, failed.failure.failed_id)).replayed


async def test_an_invalid_event_fails_its_replay_and_stays(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        [failed] = await front.decide([event("e1", "u1", region="de")])
        [again] = await replay(front, failed.failure.failed_id)
        assert (again.status, again.failure.reason) == (FAILED, "INVALID_EVENT")
        assert await books(front) == (1, 1, 0, 1, 0)


async def test_an_attack_that_somebody_looked_at_is_decided_and_marked(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        [failed] = await front.decide([event("e1", "u1", error_code="{{7*7}}")])
        assert failed.failure.reason == "SECURITY"
        [again] = await replay(front, failed.failure.failed_id)
        assert (again.status, again.failure.reason) == (FAILED, "SECURITY")
        [again] = await replay(front, failed.failure.failed_id, accept_attacks=True, actor="ann")
        assert again.status == DECIDED
        [reason] = [r for r in again.decision.reasons if r.code == decision_pb2.REASON_CODE_ATTACK_IN_TEXT]
        assert list(reason.words)[:2] == ["error_code", "template"]
        assert again.decision.item_flags >> event_pb2.ITEM_FLAG_ATTACK_MARKED & 1
        status = await front.ingest.GetSecurityStatus(ingest_pb2.GetSecurityStatusRequest())
        hits = {one.pattern_id: one.hits for one in status.patterns if one.hits}
        assert hits["template-001"] >= 1


async def test_a_text_that_could_not_be_mapped_is_read_anew(mesh: FakeMesh, sqlite_url: str) -> None:
    """What an older version did not understand, a newer one may."""
    one = event("e1", "u1")
    text = (
        b'{"event_id":"e1","user_id":"u1","device_id":"d1","event_type":"play","region":"NL",'
        b'"ip_address":"203.0.113.10","timestamp":"%s"}' % one.event_time.ToJsonString().encode()
    )
    unmapped = event_pb2.Event(event_id="e1")
    unmapped.unmapped.payload = text
    unmapped.unmapped.violations.add(field="region", reason="WRONG_TYPE")
    async with running_ingest(sqlite_url, mesh) as front:
        [failed] = await front.decide([unmapped])
        assert failed.status == FAILED
        [again] = await replay(front, failed.failure.failed_id)
        assert again.status == DECIDED


async def test_requests_that_cannot_be_answered(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(InvalidArgument, match="NO_FAILED_EVENTS"):
            await replay(front)
        with pytest.raises(InvalidArgument, match="TOO_MANY_FAILED_EVENTS"):
            await replay(front, *["failed_x"] * 257)
        [unknown] = await replay(front, "failed_x")
        assert (unknown.status, unknown.failure.reason) == (REFUSED, "FAILED_EVENT_UNKNOWN")
        with pytest.raises(NotFound, match="FAILED_EVENT_UNKNOWN"):
            await kept(front, "failed_x")


async def test_they_are_listed_by_reason_and_component(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.undecidable = {"e2": "MALFORMED_EVENT"}
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("e1", region="de"), event("e2"), event("e3", user_id="../../etc/passwd")])

        async def ids(**fields: object) -> list[str]:
            request = ingest_pb2.ListFailedEventsRequest(tenant=TENANT, **fields)  # type: ignore[arg-type]
            answer = await front.ingest.ListFailedEvents(request)
            assert not any(one.payload for one in answer.failed_events)
            assert all(
                one.expire_time.seconds - one.failed_time.seconds == 90 * 86_400
                for one in answer.failed_events
            )
            return sorted(one.event_id for one in answer.failed_events)

        assert await ids() == ["e1", "e2", "e3"]
        assert await ids(reason="SECURITY") == ["e3"]
        assert await ids(component="scoring") == ["e2"]
        mesh.scoring.undecidable = {}
        answer = await front.ingest.ListFailedEvents(
            ingest_pb2.ListFailedEventsRequest(tenant=TENANT, component="scoring")
        )
        await replay(front, answer.failed_events[0].failed_id)
        assert await ids(open_only=True) == ["e1", "e3"]


async def test_payloads_are_encrypted_where_keys_are_set(mesh: FakeMesh, url: str) -> None:
    bad = event("e1", "somebody", region="de")
    async with running_ingest(url, mesh, failed_keys=f"first:{KEY}\n") as front:
        [failed] = await front.decide([bad])
        failed_id = failed.failure.failed_id
        store = front.app._store
        with store.database.reading() as connection:
            body = bytes(connection.execute(tables.failed.select()).one().body)
        assert b"somebody" not in body
        one = await kept(front, failed_id)
        assert event_pb2.Event.FromString(one.payload) == bad
        assert one.key_id == "first"
    # Rotated: the new key seals, the old one still opens.
    async with running_ingest(url, mesh, failed_keys=f"second:{NEWER_KEY}\nfirst:{KEY}\n") as front:
        assert event_pb2.Event.FromString((await kept(front, failed_id)).payload) == bad
        [other] = await front.decide([event("e2", region="de")])
        assert (await kept(front, other.failure.failed_id)).key_id == "second"
    # Its key is gone: it is there, and cannot be read.
    async with running_ingest(url, mesh, failed_keys=f"second:{NEWER_KEY}\n") as front:
        one = await kept(front, failed_id)
        assert (one.locked, one.payload, one.failure.reason) == (True, b"", "INVALID_EVENT")
        [again] = await replay(front, failed_id)
        assert (again.status, again.failure.reason) == (REFUSED, "FAILED_EVENT_LOCKED")


async def test_they_are_deleted_when_their_time_is_over(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", region="de")])
        [younger] = await front.decide([event("e2", region="de")])
        store = front.app._store
        failed_ms = (await kept(front, younger.failure.failed_id)).failed_time.ToMilliseconds()
        assert await store.database.run(store.delete_failed_before, failed_ms - 60_000, 10) == 0
        assert await store.database.run(store.delete_failed_before, failed_ms + 60_000, 10) == 2
        # The books keep what happened.
        assert await books(front) == (2, 2, 0, 2, 0)
