"""A service of the mesh is away: decisions go on without it, say so, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.common.errors import InvalidArgument, PolicySetUnknown
from services.ingest.records import Commit, Committed, LostRaceError
from tests.fakes import TENANT, FakeMesh, Front, chain, event, now_ms, running_ingest, until
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

ALLOW = decision_pb2.OUTCOME_ALLOW
CAUTION = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
REVIEW = decision_pb2.OUTCOME_REVIEW
BLOCK = decision_pb2.OUTCOME_BLOCK
SERVICES = {
    "compliance": decision_pb2.SERVICE_COMPLIANCE,
    "scoring": decision_pb2.SERVICE_SCORING,
    "fraud": decision_pb2.SERVICE_FRAUD,
}

# "playback, logout and known-device login open, bulk export, payment or credential change and new-device login closed".
TABLE = [
    ("play", "d1", CAUTION),
    ("logout", "d1", CAUTION),
    ("access_request", "d1", CAUTION),
    ("login", "d1", CAUTION),
    ("login", "never-seen", REVIEW),
    ("bulk_download", "d1", REVIEW),
    ("payment_method_change", "d1", REVIEW),
    ("password_change", "d1", REVIEW),
    ("something_new", "d1", REVIEW),
]


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_the_outcome_follows_the_class_of_the_event(mesh: FakeMesh, sqlite_url: str, name: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("known", "u1", device_id="d1")])
        getattr(mesh, name).away()
        for number, (kind, device, expected) in enumerate(TABLE):
            [result] = await front.decide([event(f"e{number}", "u1", event_type=kind, device_id=device)])
            decision = result.decision
            assert (decision.outcome, decision.would_be) == (expected, expected), (kind, device)
            assert list(decision.degraded) == [SERVICES[name]]
            degraded = [r for r in decision.reasons if r.code == decision_pb2.REASON_CODE_DEGRADED]
            assert [list(r.words) for r in degraded] == [[name]]
            actions = {a.kind for a in decision.actions}
            assert (decision_pb2.ACTION_KIND_REVIEW in actions) == (expected == REVIEW)
            assert decision.folded == (name != "scoring")
            assert decision.sighted == (name != "fraud")
            assert decision.HasField("assessment") == (name != "fraud")


async def test_without_compliance_processing_fails_closed_and_age_counts_as_a_minors(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        mesh.compliance.away()
        [result] = await front.decide([event()])
        verdict = result.decision.verdict
        assert verdict.status == decision_pb2.COMPLIANCE_STATUS_UNSPECIFIED
        assert [(p.purpose, p.state) for p in verdict.processing] == [
            ("*", decision_pb2.PROCESSING_STATE_SUPPRESS)
        ]
        request = mesh.scoring.requests[-1]
        assert request.verdict_flags[0] >> decision_pb2.VERDICT_FLAG_MINOR & 1
        assert request.verdict_flags[0] >> decision_pb2.VERDICT_FLAG_AGE_UNKNOWN & 1
        assert request.item_flags[0] == 1 << event_pb2.ITEM_FLAG_NO_COMPLIANCE


async def test_a_stricter_answer_of_scoring_stands_beside_another_services_absence(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.scoring.outcomes = {"e1": BLOCK, "e2": REVIEW}
    mesh.fraud.away()
    async with running_ingest(sqlite_url, mesh) as front:
        results = await front.decide([event("e1", "u1"), event("e2", "u2"), event("e3", "u3")])
        assert [r.decision.outcome for r in results] == [BLOCK, REVIEW, CAUTION]
        request = mesh.scoring.requests[-1]
        assert list(request.item_flags) == [1 << event_pb2.ITEM_FLAG_NO_FRAUD] * 3
        assert request.signal_width == 0


async def test_everything_away_still_answers(mesh: FakeMesh, url: str) -> None:
    for fake in (mesh.compliance, mesh.scoring, mesh.fraud, mesh.alerts):
        fake.away()
    async with running_ingest(url, mesh) as front:
        [result] = await front.decide([event(event_type="play")])
        assert result.decision.outcome == CAUTION
        assert list(result.decision.degraded) == [2, 3, 4]
        assert (await front.books()).balanced


async def test_an_observing_tenant_is_not_stopped_by_an_outage(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.away()
    async with running_ingest(sqlite_url, mesh) as front:
        [result] = await front.decide([event(event_type="payment_method_change")], "observer")
        assert (result.decision.outcome, result.decision.would_be) == (ALLOW, REVIEW)
        assert result.decision.mode == decision_pb2.MODE_OBSERVE
        assert not result.decision.actions


async def test_what_was_decided_without_scoring_is_folded_once_and_in_order(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("a", "u1"), event("x", "u2")])
        mesh.scoring.away()
        results = await front.decide([event("b", "u1"), event("c", "u1"), event("y", "u2")])
        assert not any(r.decision.folded for r in results)
        await front.decide([event("d", "u1")])
        assert await front.profile("u1") == chain("a")
    async with running_ingest(url, mesh) as front:
        # Also after a restart.
        mesh.scoring.back()
        [result] = await front.decide([event("e", "u1")])
        assert result.decision.folded
        assert result.decision.numbers[decision_pb2.NUMBER_INDEX_PROFILE_EVENTS] == 4
        assert await front.profile("u1") == chain("abcde")
        await front.decide([event("f", "u1"), event("z", "u2")])
        assert await front.profile("u1") == chain("abcdef")
        assert await front.profile("u2") == chain("xyz")
        assert (await front.decision("b")).folded is False, "a committed decision never changes"


async def test_a_long_outage_is_caught_up_in_order(mesh: FakeMesh, sqlite_url: str) -> None:
    """More than one call to scoring may take; the event that comes after the outage is folded after all of it."""
    ids = [f"e{i}" for i in range(2_500)]
    async with running_ingest(sqlite_url, mesh) as front:
        mesh.scoring.away()
        for start in range(0, 2_500, 500):
            await front.decide([event(i, "u1") for i in ids[start : start + 500]])
        mesh.scoring.back()
        [result] = await front.decide([event("last", "u1")])
        assert result.decision.folded
        assert await front.profile("u1") == chain([*ids, "last"])


async def test_many_viewers_are_caught_up_together(mesh: FakeMesh, sqlite_url: str) -> None:
    users = [f"u{i}" for i in range(256)]
    async with running_ingest(sqlite_url, mesh) as front:
        mesh.scoring.away()
        for round_ in range(9):
            await front.decide([event(f"{user}.{round_}", user) for user in users])
        mesh.scoring.back()
        results = await front.decide([event(f"{user}.9", user) for user in users])
        assert {r.status for r in results} == {ingest_pb2.EVENT_STATUS_DECIDED}
        for user in users:
            assert await front.profile(user) == chain(f"{user}.{n}" for n in range(10))


async def test_a_backlog_that_scoring_cannot_fold_does_not_stop_its_viewer(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        mesh.scoring.away()
        await front.decide([event("a", "u1"), event("b", "u1")])
        mesh.scoring.back()
        mesh.scoring.undecidable = {"a": "MALFORMED_EVENT"}
        [result] = await front.decide([event("c", "u1")])
        assert result.status == ingest_pb2.EVENT_STATUS_DECIDED
        assert await front.profile("u1") == chain("bc")


async def test_scoring_that_goes_away_during_the_catching_up_folds_nothing_twice(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        mesh.scoring.away()
        await front.decide([event("a", "u1"), event("b", "u1")])
        mesh.scoring.back()
        answered = mesh.scoring.answered

        def gone_after_the_backlog() -> bool:
            return mesh.scoring.answered > answered

        original = mesh.scoring.meet

        async def meet(request: object) -> None:
            if gone_after_the_backlog():
                mesh.scoring.away()
            await original(request)

        mesh.scoring.meet = meet  # type: ignore[method-assign]
        [result] = await front.decide([event("c", "u1")])
        assert not result.decision.folded
        mesh.scoring.meet = original  # type: ignore[method-assign]
        mesh.scoring.back()
        await front.decide([event("d", "u1")])
        assert await front.profile("u1") == chain("abcd")


async def test_what_fraud_did_not_see_is_carried_to_it_first(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("a")])
        mesh.fraud.away()
        results = await front.decide([event("b"), event("c", "u2")])
        assert not any(r.decision.sighted for r in results)
    async with running_ingest(url, mesh) as front:
        assert (TENANT, "b") not in mesh.fraud.seen
        mesh.fraud.back()
        [result] = await front.decide([event("d")])
        assert result.decision.sighted
        assert set(mesh.fraud.seen) == {(TENANT, i) for i in "abcd"}
        carried = [
            event_pb2.Event.FromString(e).event_id for request in mesh.fraud.restores for e in request.events
        ]
        assert sorted(carried) == ["b", "c"]
        restores = len(mesh.fraud.restores)
        await front.decide([event("e")])
        assert len(mesh.fraud.restores) == restores, "they are carried once"


async def test_what_another_batch_decides_unseen_while_the_carrying_ends_is_carried_too(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        mesh.fraud.away()
        await front.decide([event("a")])
        memory, store = front.app._memory, front.app._store
        unsighted = store.unsighted
        readings: list[list[int]] = []

        def reading(limit: int, after: int = 0) -> list[int]:
            readings.append(unsighted(limit, after))
            if not readings[-1] and len(readings) == 2:
                # Another batch commits after this reading and before its answer is looked at.
                loop.call_soon_threadsafe(memory.committed, 0, True)
            return readings[-1]

        loop = asyncio.get_running_loop()
        store.unsighted = reading  # type: ignore[method-assign]
        mesh.fraud.back()
        await memory.carry_unsighted()
        assert [len(one) for one in readings] == [1, 0, 0], "it looked again"
        assert set(mesh.fraud.seen) == {(TENANT, "a")}


async def test_what_was_carried_counts_as_seen_only_with_a_batch_assessed_after_it(
    mesh: FakeMesh, url: str
) -> None:
    async with running_ingest(url, mesh) as front:
        mesh.fraud.away()
        await front.decide([event("a")])
        memory, store = front.app._memory, front.app._store
        mesh.fraud.back()
        await memory.carry_unsighted()
        (position,) = store.unsighted(10)
        assert memory.carried() == [position]
        memory.doubted()
        assert memory.carried() == [], "it is given again"
        await front.decide([event("b")])
        assert store.unsighted(10) == []
        assert set(mesh.fraud.seen) == {(TENANT, "a"), (TENANT, "b")}


async def test_fraud_that_lost_its_memory_is_given_everything_since(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event(f"e{i}", f"u{i % 3}") for i in range(600)])
        await front.decide([event("o1")], "other")
        mesh.fraud.lose()
        [result] = await front.decide([event("new")])
        assert result.decision.sighted
        expected = {(TENANT, f"e{i}") for i in range(600)} | {("other", "o1"), (TENANT, "new")}
        assert set(mesh.fraud.seen) == expected
        assert all(len(r.events) <= 2_000 for r in mesh.fraud.restores)
        assert mesh.fraud.restores[-1].complete_through_ms > 0


async def test_fraud_is_given_what_came_after_its_snapshot_with_an_overlap(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("before")])
        snapshot = mesh.fraud.applied_through_ms
        await asyncio.sleep(0.01)
        await front.decide([event("after")])
        mesh.fraud.lose(snapshot)
        await front.decide([event("new")])
        assert (TENANT, "after") in mesh.fraud.seen
        # 30 seconds before the snapshot are given again.
        assert (TENANT, "before") in mesh.fraud.seen


async def test_old_and_suppressed_events_are_not_given_to_fraud_afterwards(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.compliance.suppressed = {"u2"}
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("a"), event("s", "u2"), event("o", "u3", at_ms=now_ms() - 8 * 86_400_000)])
        mesh.fraud.lose()
        await front.decide([event("b")])
        assert set(mesh.fraud.seen) == {(TENANT, "a"), (TENANT, "b")}


async def test_suppressed_processing_leaves_neither_profile_nor_device(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.compliance.suppressed = {"u2"}
    async with running_ingest(sqlite_url, mesh) as front:
        [result] = await front.decide([event("s", "u2", device_id="dx")])
        assert not result.decision.folded
        assert result.decision.item_flags == 1 << event_pb2.ITEM_FLAG_SUPPRESSED
        assert await front.profile("u2") == b""
        assert await _devices(front, "u2") == b""
        mesh.scoring.away()
        await front.decide([event("s2", "u2", device_id="dx")])
        mesh.scoring.back()
        await front.decide([event("s3", "u2", device_id="dx")])
        assert await front.profile("u2") == b""


async def test_a_hung_service_leaves_the_caller_time_for_a_degraded_answer(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.compliance.delay = 30.0
    async with running_ingest(sqlite_url, mesh) as front:
        [result] = await front.decide([event()], timeout=1.5)
        assert list(result.decision.degraded) == [decision_pb2.SERVICE_COMPLIANCE]


async def test_a_hung_service_is_given_its_own_time_and_not_all_of_the_callers(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.scoring.delay = 30.0
    async with running_ingest(sqlite_url, mesh, peer_timeout=0.3) as front:
        async with asyncio.timeout(8):
            [result] = await front.decide([event()], timeout=20.0)
        assert list(result.decision.degraded) == [decision_pb2.SERVICE_SCORING]
        calls = len(mesh.scoring.requests)
        await front.decide([event("e2")])
        assert len(mesh.scoring.requests) == calls, "for a while it is not asked"


async def test_an_import_waits_for_a_slow_service_and_a_viewer_does_not(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    imported = {"origin": event_pb2.ORIGIN_IMPORT, "import_id": "log-1"}
    async with running_ingest(sqlite_url, mesh, peer_timeout=0.3) as front:
        mesh.compliance.delay = mesh.fraud.delay = mesh.scoring.delay = 0.9
        [result] = await front.decide([event("a", **imported)], timeout=60.0)
        assert not result.decision.degraded
        mesh.compliance.delay = 60.0
        [result] = await front.decide([event("b")], timeout=60.0)
        assert decision_pb2.SERVICE_COMPLIANCE in result.decision.degraded
        # It counts as away now: nothing waits for it longer than a viewer would.
        await until(lambda: front.app._peers.compliance._closed_until < time.monotonic())
        async with asyncio.timeout(8):
            [result] = await front.decide([event("c", **imported)], timeout=60.0)
        assert decision_pb2.SERVICE_COMPLIANCE in result.decision.degraded


async def test_a_service_that_comes_up_later_than_ingest_is_waited_for(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    await mesh.stop("compliance")
    starting = asyncio.create_task(_first_decision(mesh, sqlite_url))
    await asyncio.sleep(0.2)
    assert not starting.done()
    await mesh.start("compliance")
    assert not (await starting).degraded
    assert mesh.compliance.loaded, "the set in force was loaded before the first event"


async def _first_decision(mesh: FakeMesh, url: str) -> decision_pb2.Decision:
    async with running_ingest(url, mesh) as front:
        [result] = await front.decide([event()])
        return result.decision


async def test_a_service_that_is_stopped_and_started_again_is_asked_again(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("a")])
        await mesh.stop("scoring")
        [without] = await front.decide([event("b")])
        assert list(without.decision.degraded) == [decision_pb2.SERVICE_SCORING]
        await mesh.start("scoring")
        numbers = iter(range(1000))

        async def whole() -> bool:
            [result] = await front.decide([event(f"c{next(numbers)}")])
            return not result.decision.degraded

        await until(whole)
        ids = ["a", "b", *[f"c{i}" for i in range(next(numbers))]]
        assert await front.profile("u1") == chain(ids)


async def test_a_policy_set_that_a_service_is_loading_is_waited_for(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.errors = [PolicySetUnknown()]
    mesh.compliance.errors = [PolicySetUnknown()]
    mesh.fraud.errors = [PolicySetUnknown()]
    async with running_ingest(sqlite_url, mesh) as front:
        [result] = await front.decide([event()])
        assert not result.decision.degraded


async def test_an_outage_is_one_message_however_many_events_it_meets(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.away()
    async with running_ingest(sqlite_url, mesh) as front:
        for number in range(5):
            await front.decide([event(f"e{number}", event_type="bulk_download")])
        await until(lambda: bool(mesh.alerts.messages))
        await until(lambda: _delivered(front))
        assert [(kind, m.entity) for (_, _, kind), m in mesh.alerts.messages.items()] == [
            ("degraded.scoring", "scoring")
        ]


async def test_an_outage_is_told_although_its_first_commit_lost_a_race(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.scoring.away()
    async with running_ingest(sqlite_url, mesh) as front:
        store = front.app._store
        commit = store.commit
        raced: list[int] = []

        def racing(transaction: Commit) -> Committed:
            if transaction.decided and not raced:
                raced.append(1)
                raise LostRaceError
            return commit(transaction)

        store.commit = racing  # type: ignore[method-assign]
        await front.decide([event("e1")])
        assert raced
        await until(lambda: bool(mesh.alerts.messages))
        assert [kind for _, _, kind in mesh.alerts.messages] == ["degraded.scoring"]


async def test_a_service_that_rejects_a_batch_is_asked_again_and_then_counts_as_away(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    rejected = InvalidArgument("MALFORMED_PROFILE", "as programmed")
    async with running_ingest(sqlite_url, mesh, poison_retries=2, breaker_seconds=0.01) as front:
        mesh.scoring.errors = [rejected]
        [result] = await front.decide([event("e0")])
        assert not result.decision.degraded
        mesh.scoring.errors = [rejected] * 3
        [result] = await front.decide([event("e1")])
        assert list(result.decision.degraded) == [decision_pb2.SERVICE_SCORING]
        await asyncio.sleep(0.05)
        [again] = await front.decide([event("e2")])
        assert not again.decision.degraded
        assert await front.profile("u1") == chain(["e0", "e1", "e2"])


async def _devices(front: Front, user: str) -> bytes:
    from services.ingest import receipts

    key = receipts.user_key(TENANT, user)
    store = front.app._store
    found = await store.database.read(store.look_up, [], [key])
    return found.profiles[key].devices


async def _delivered(front: Front) -> bool:
    await front.books()
    return await front.app._store.database.read(front.app._store.outbox_depth) == 0
