"""Modes, policy sets, and reading what was decided or failed."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from services.common import background
from services.common.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable, UsherError
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest, tiny_policy_set, until
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2
from usher.policy.v1 import policy_pb2

ALLOW = decision_pb2.OUTCOME_ALLOW
CAUTION = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
REVIEW = decision_pb2.OUTCOME_REVIEW
BLOCK = decision_pb2.OUTCOME_BLOCK
OBSERVE = decision_pb2.MODE_OBSERVE
ENFORCE = decision_pb2.MODE_ENFORCE
PLAYBACK = event_pb2.EVENT_CLASS_PLAYBACK
PAYMENT = event_pb2.EVENT_CLASS_PAYMENT


# -- modes -------------------------------------------------------------------------------------------


async def test_new_tenants_observe_and_listed_ones_enforce(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.outcomes = {"e1": BLOCK}
    async with running_ingest(sqlite_url, mesh) as front:
        [enforced] = await front.decide([event("e1")], TENANT)
        [observed] = await front.decide([event("e1")], "newcomer")
        assert (enforced.decision.outcome, enforced.decision.would_be) == (BLOCK, BLOCK)
        assert (observed.decision.outcome, observed.decision.would_be) == (ALLOW, BLOCK)
        assert observed.decision.mode == OBSERVE


async def test_a_mode_is_set_by_class_or_for_all_and_survives_a_restart(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        answer = await front.ingest.SetMode(
            ingest_pb2.SetModeRequest(tenant=TENANT, event_class=PAYMENT, mode=OBSERVE, actor="ann")
        )
        expected = [OBSERVE if c == PAYMENT else ENFORCE for c in sorted(event_pb2.EventClass.values())]
        assert list(answer.modes) == expected
        mesh.scoring.outcomes = {"e1": BLOCK, "e2": BLOCK}
        play, pay = await front.decide([event("e1"), event("e2", event_type="purchase")])
        assert (play.decision.mode, play.decision.outcome) == (ENFORCE, BLOCK)
        assert (pay.decision.mode, pay.decision.outcome) == (OBSERVE, ALLOW)
    async with running_ingest(url, mesh) as front:
        [pay] = await front.decide([event("e3", event_type="purchase")])
        assert pay.decision.mode == OBSERVE
        answer = await front.ingest.SetMode(ingest_pb2.SetModeRequest(tenant=TENANT, mode=OBSERVE))
        assert set(answer.modes) == {OBSERVE}
        answer = await front.ingest.SetMode(ingest_pb2.SetModeRequest(tenant=TENANT, mode=ENFORCE))
        assert set(answer.modes) == {ENFORCE}


async def test_modes_are_told_with_who_set_them_and_when(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        before = now_ms()
        await front.ingest.SetMode(
            ingest_pb2.SetModeRequest(tenant=TENANT, event_class=PAYMENT, mode=OBSERVE, actor="ann")
        )
        classes = (await front.ingest.GetMode(ingest_pb2.GetModeRequest(tenant=TENANT))).classes
        assert [one.event_class for one in classes] == sorted(event_pb2.EventClass.values())
        by_class = {one.event_class: one for one in classes}
        assert (by_class[PAYMENT].mode, by_class[PAYMENT].actor) == (OBSERVE, "ann")
        assert before <= by_class[PAYMENT].set_time.ToMilliseconds() <= now_ms()
        assert (by_class[PLAYBACK].mode, by_class[PLAYBACK].actor) == (ENFORCE, "")
        assert not by_class[PLAYBACK].HasField("set_time")
        newcomer = (await front.ingest.GetMode(ingest_pb2.GetModeRequest(tenant="newcomer"))).classes
        assert {one.mode for one in newcomer} == {OBSERVE}
        with pytest.raises(InvalidArgument) as refused:
            await front.ingest.GetMode(ingest_pb2.GetModeRequest(tenant="No Tenant"))
        assert refused.value.reason == "TENANT_INVALID"


async def test_a_mode_set_by_another_process_takes_effect(mesh: FakeMesh, postgres_url: str) -> None:
    async with (
        running_ingest(postgres_url, mesh, socket="a") as a,
        running_ingest(postgres_url, mesh, socket="b") as b,
    ):
        await a.ingest.SetMode(ingest_pb2.SetModeRequest(tenant=TENANT, mode=OBSERVE))
        numbers = iter(range(1000))

        async def observes() -> bool:
            [result] = await b.decide([event(f"e{next(numbers)}")])
            return bool(result.decision.mode == OBSERVE)

        await until(observes, 5)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mode": 0}, "MODE_INVALID"),
        ({"mode": 7}, "MODE_INVALID"),
        ({"event_class": 99}, "EVENT_CLASS_UNKNOWN"),
    ],
)
async def test_a_mode_that_is_none_is_refused(
    mesh: FakeMesh, sqlite_url: str, fields: dict[str, int], reason: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(InvalidArgument) as refused:
            await front.ingest.SetMode(
                ingest_pb2.SetModeRequest(**{"tenant": TENANT, "mode": OBSERVE, **fields})  # type: ignore[arg-type]
            )
        assert refused.value.reason == reason


# -- policy sets -------------------------------------------------------------------------------------


async def test_a_policy_set_is_activated_and_pinned(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        first = tiny_policy_set(mesh.folder / "policy")
        second = tiny_policy_set(mesh.folder / "policy", b"rules: [2]\n")
        assert first != second
        [before] = await front.decide([event("e1")])
        activated = await front.policy.ActivatePolicySet(
            policy_pb2.ActivatePolicySetRequest(policy_set=second, actor="ann")
        )
        [after] = await front.decide([event("e2")])
        assert (before.decision.policy_set, after.decision.policy_set) == (first, second)
        for fake in (mesh.compliance, mesh.fraud, mesh.scoring):
            assert [r.policy_set for r in fake.requests] == [first, second]
        again = await front.policy.ActivatePolicySet(
            policy_pb2.ActivatePolicySetRequest(policy_set=second, actor="bob")
        )
        assert again == activated, "activating the set in force changes nothing"
    async with running_ingest(url, mesh) as front:
        active = await front.policy.GetActivePolicySet(policy_pb2.GetActivePolicySetRequest())
        assert active.manifest.policy_set == second
        assert active.activated_time == activated.activated_time
        listed = await front.policy.ListActivations(policy_pb2.ListActivationsRequest())
        assert [(a.policy_set, a.actor) for a in listed.activations] == [(second, "ann"), (first, "start")]
        page = await front.policy.ListActivations(policy_pb2.ListActivationsRequest(page_size=1))
        rest = await front.policy.ListActivations(
            policy_pb2.ListActivationsRequest(page_size=1, page_token=page.next_page_token)
        )
        assert [a.policy_set for a in [*page.activations, *rest.activations]] == [second, first]


async def test_a_batch_under_way_keeps_its_policy_set(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.compliance.gate = asyncio.Event()
    async with running_ingest(sqlite_url, mesh) as front:
        first = tiny_policy_set(mesh.folder / "policy")
        second = tiny_policy_set(mesh.folder / "policy", b"rules: [2]\n")
        running = asyncio.create_task(front.decide([event("e1")]))
        await until(lambda: bool(mesh.compliance.requests))
        await front.policy.ActivatePolicySet(policy_pb2.ActivatePolicySetRequest(policy_set=second))
        mesh.compliance.gate.set()
        [result] = await running
        assert result.decision.policy_set == first
        assert [r.policy_set for r in mesh.scoring.requests] == [first]


async def test_a_policy_set_that_is_not_there_cannot_be_activated(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(NotFound) as missing:
            await front.policy.ActivatePolicySet(
                policy_pb2.ActivatePolicySetRequest(policy_set="ps_" + "0" * 32)
            )
        assert missing.value.reason == "POLICY_SET_MISSING"
        with pytest.raises(InvalidArgument) as invalid:
            await front.policy.ActivatePolicySet(policy_pb2.ActivatePolicySetRequest(policy_set="../etc"))
        assert invalid.value.reason == "POLICY_SET_INVALID"
        listed = await front.policy.ListActivations(policy_pb2.ListActivationsRequest())
        assert len(listed.activations) == 1


async def test_a_policy_set_is_loaded_everywhere_before_anything_is_decided_under_it(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    first = tiny_policy_set(mesh.folder / "policy")
    second = tiny_policy_set(mesh.folder / "policy", b"rules: [2]\n")
    fakes = (mesh.compliance, mesh.fraud, mesh.scoring)
    async with running_ingest(sqlite_url, mesh) as front:
        assert [fake.loaded for fake in fakes] == [[first]] * 3
        await front.policy.ActivatePolicySet(policy_pb2.ActivatePolicySetRequest(policy_set=second))
        assert [fake.loaded[1] for fake in fakes] == [second] * 3
        assert not any(fake.requests for fake in fakes)


@pytest.mark.parametrize(
    ("error", "kind", "reason", "said"),
    [
        (
            FailedPrecondition("MODEL_INVALID", "the card says 56 features"),
            FailedPrecondition,
            "POLICY_SET_UNUSABLE",
            "56",
        ),
        (Unavailable("FAKE_AWAY", "away"), Unavailable, "POLICY_SET_UNCHECKED", "scoring"),
    ],
)
async def test_a_policy_set_that_a_service_cannot_use_is_not_put_in_force(
    mesh: FakeMesh, sqlite_url: str, error: UsherError, kind: type[UsherError], reason: str, said: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        first = tiny_policy_set(mesh.folder / "policy")
        second = tiny_policy_set(mesh.folder / "policy", b"rules: [2]\n")
        mesh.scoring.load_error = error
        with pytest.raises(kind) as refused:
            await front.policy.ActivatePolicySet(policy_pb2.ActivatePolicySetRequest(policy_set=second))
        assert refused.value.reason == reason
        assert said in refused.value.message
        [result] = await front.decide([event("e1")])
        assert result.decision.policy_set == first


async def test_ingest_starts_and_decides_without_a_service_that_cannot_load_the_set(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.scoring.load_error = FailedPrecondition("MODEL_INVALID", "broken")
    async with running_ingest(sqlite_url, mesh) as front:
        [result] = await front.decide([event("e1")])
        assert result.HasField("decision")


async def test_without_any_policy_set_ingest_does_not_start(mesh: FakeMesh, sqlite_url: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        async with running_ingest(sqlite_url, mesh, policy_set=""):
            pass
    assert refused.value.reason == "NO_POLICY_SET"


# -- reading -----------------------------------------------------------------------------------------


async def _pages(front: Front, **fields: object) -> list[list[str]]:
    pages: list[list[str]] = []
    token = ""
    while True:
        answer = await front.ingest.ListDecisions(
            ingest_pb2.ListDecisionsRequest(tenant=TENANT, page_token=token, **fields)  # type: ignore[arg-type]
        )
        pages.append([d.event_id for d in answer.decisions])
        token = answer.next_page_token
        if not token:
            return pages


def _flat(pages: list[list[str]]) -> list[str]:
    return [event_id for page in pages for event_id in page]


async def test_decisions_are_listed_newest_first_in_pages(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.outcomes = {"e2": CAUTION, "e5": REVIEW, "e6": BLOCK}
    async with running_ingest(url, mesh) as front:
        for number in range(8):
            await front.decide([event(f"e{number}", f"u{number % 2}")])
        await front.decide([event("foreign", "u1")], "other")
        everything = [f"e{n}" for n in range(7, -1, -1)]
        assert _flat(await _pages(front)) == everything
        assert _flat(await _pages(front, page_size=3)) == everything
        assert (await _pages(front, page_size=3))[0] == ["e7", "e6", "e5"]
        assert _flat(await _pages(front, minimum_outcome=REVIEW)) == ["e6", "e5"]
        assert _flat(await _pages(front, minimum_outcome=REVIEW, page_size=1)) == ["e6", "e5"]
        assert _flat(await _pages(front, user_id="u1")) == ["e7", "e5", "e3", "e1"]
        assert _flat(await _pages(front, user_id="u1", page_size=2)) == ["e7", "e5", "e3", "e1"]
        assert _flat(await _pages(front, user_id="u0", minimum_outcome=CAUTION)) == ["e6", "e2"]
        assert _flat(await _pages(front, user_id="nobody")) == []


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "٣", "9" * 20])
async def test_a_page_token_of_ones_own_making_is_refused(
    mesh: FakeMesh, sqlite_url: str, token: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        for call in (
            front.ingest.ListDecisions(ingest_pb2.ListDecisionsRequest(tenant=TENANT, page_token=token)),
            front.ingest.ListFailedEvents(
                ingest_pb2.ListFailedEventsRequest(tenant=TENANT, page_token=token)
            ),
            front.policy.ListActivations(policy_pb2.ListActivationsRequest(page_token=token)),
        ):
            with pytest.raises(InvalidArgument) as refused:
                await call
            assert refused.value.reason == "PAGE_TOKEN_INVALID"


async def test_a_page_token_beyond_every_position_is_the_first_page(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1")])
        answer = await front.ingest.ListDecisions(
            ingest_pb2.ListDecisionsRequest(tenant=TENANT, page_token="9" * 19)
        )
        assert [d.event_id for d in answer.decisions] == ["e1"]


@pytest.mark.parametrize("size", [-1, 1001])
async def test_a_page_size_out_of_range_is_refused(mesh: FakeMesh, sqlite_url: str, size: int) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(InvalidArgument) as refused:
            await front.ingest.ListDecisions(ingest_pb2.ListDecisionsRequest(tenant=TENANT, page_size=size))
        assert refused.value.reason == "PAGE_SIZE_INVALID"


async def test_failed_events_are_listed_newest_first_in_pages(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        for number in range(5):
            await front.decide([event(f"e{number}", region="")])
        await front.decide([event("foreign", region="")], "other")
        ids: list[str] = []
        token = ""
        while True:
            answer = await front.ingest.ListFailedEvents(
                ingest_pb2.ListFailedEventsRequest(tenant=TENANT, page_size=2, page_token=token)
            )
            ids += [one.event_id for one in answer.failed_events]
            token = answer.next_page_token
            if not token:
                break
        assert ids == ["e4", "e3", "e2", "e1", "e0"]
        foreign = await front.ingest.ListFailedEvents(ingest_pb2.ListFailedEventsRequest(tenant="other"))
        failed_id = foreign.failed_events[0].failed_id
        with pytest.raises(NotFound) as unknown:
            await front.ingest.GetFailedEvent(
                ingest_pb2.GetFailedEventRequest(tenant=TENANT, failed_id=failed_id)
            )
        assert unknown.value.reason == "FAILED_EVENT_UNKNOWN"


async def test_get_decision_answers_the_event_as_decided(mesh: FakeMesh, sqlite_url: str) -> None:
    one = event("e1", event_type="PLAY", metadata_json=b'{"b": 1, "a": 2}')
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([one])
        answer = await front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant=TENANT, event_id="e1"))
        one.event_type, one.metadata_json = "play", b'{"a":2,"b":1}'
        assert answer.event == one
        with pytest.raises(NotFound) as unknown:
            await front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant="other", event_id="e1"))
        assert unknown.value.reason == "DECISION_UNKNOWN"


class Watcher:
    """Collects what WatchDecisions streams."""

    def __init__(self, front: Front, after: int) -> None:
        self.decisions: list[decision_pb2.Decision] = []
        self._call = front.ingest.WatchDecisions(
            ingest_pb2.WatchDecisionsRequest(tenant=TENANT, after_position=after)
        )
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for answer in self._call:
            assert len(answer.decisions) <= 256
            self.decisions.extend(answer.decisions)

    async def wait(self, number: int) -> list[str]:
        await until(lambda: len(self.decisions) >= number)
        return [d.event_id for d in self.decisions]

    async def close(self) -> None:
        self._call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def test_watchers_get_decisions_in_order_and_resume_where_they_were(mesh: FakeMesh, url: str) -> None:
    ids = [f"e{n}" for n in range(600)]
    async with running_ingest(url, mesh) as front:
        await front.decide([event(i, f"u{n % 5}") for n, i in enumerate(ids[:300])])
        await front.decide([event("foreign")], "other")
        first, new = Watcher(front, 0), Watcher(front, -1)
        await first.wait(300)
        await until(lambda: len(front.app._pipeline._watchers) == 2)
        await asyncio.sleep(0.1)
        await front.decide([event(i, f"u{n % 5}") for n, i in enumerate(ids[300:])])
        assert await first.wait(600) == ids
        assert await new.wait(300) == ids[300:]
        positions = [d.position for d in first.decisions]
        assert positions == sorted(set(positions))
        resumed = Watcher(front, positions[449])
        assert await resumed.wait(150) == ids[450:]
        for watcher in (first, new, resumed):
            await watcher.close()
        await until(lambda: not front.app._pipeline._watchers)


async def test_a_watcher_sees_what_another_process_decided(mesh: FakeMesh, postgres_url: str) -> None:
    async with (
        running_ingest(postgres_url, mesh, socket="a") as a,
        running_ingest(postgres_url, mesh, socket="b") as b,
    ):
        watcher = Watcher(a, 0)
        await b.decide([event("e1")])
        assert await watcher.wait(1) == ["e1"]
        await watcher.close()


async def test_health_needs_a_database_and_no_other_service(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        for name in ("compliance", "scoring", "fraud", "alerts"):
            await mesh.stop(name)
        await front.app.healthy()
        next(iter(front.app._background._tasks.values())).cancel()
        await asyncio.sleep(0.01)
        with pytest.raises(FailedPrecondition) as refused:
            await front.app.healthy()
        assert refused.value.reason == "CHORE_ENDED"


async def test_a_background_task_that_fails_is_begun_again(
    mesh: FakeMesh, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did not foresee (here: a table that is away for a while) costs health for a while, not the process."""
    monkeypatch.setattr(background, "AGAIN_S", 0.02)
    monkeypatch.setattr(background, "STEADY_S", 1.0)

    async def refused() -> str:
        try:
            await front.app.healthy()
        except UsherError as error:
            return f"{error.reason}: {error.message}"
        return ""

    async def failing() -> bool:
        return (await refused()).startswith("CHORE_FAILED: the background task lists")

    async def well() -> bool:
        return not await refused()

    async with running_ingest(sqlite_url, mesh) as front:
        refresh, calls = front.app._lists.refresh, 0

        async def away() -> None:
            nonlocal calls
            calls += 1
            if calls < 4:
                raise RuntimeError("no such table")
            await refresh()

        monkeypatch.setattr(front.app._lists, "refresh", away)
        await until(failing)
        await until(lambda: calls >= 5)
        await until(well)


async def test_accounting_of_all_tenants_is_by_name(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        for tenant in ("zoo", "acme", "mid"):
            await front.decide([event("e1"), event("e2", at_ms=now_ms() - 1000)], tenant)
        answer = await front.ingest.GetAccounting(ingest_pb2.GetAccountingRequest())
        assert [(a.tenant, a.decided, a.balanced) for a in answer.accounts] == [
            ("acme", 2, True),
            ("mid", 2, True),
            ("zoo", 2, True),
        ]
