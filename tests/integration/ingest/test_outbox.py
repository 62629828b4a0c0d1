"""What is committed is told, at least once, under ids that stay the same."""

from __future__ import annotations

import asyncio

from services.common.errors import InvalidArgument
from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest, until
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2

REVIEW = decision_pb2.OUTCOME_REVIEW
BLOCK = decision_pb2.OUTCOME_BLOCK


async def test_reviews_and_blocks_are_told(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.outcomes = {
        "b": BLOCK,
        "r": REVIEW,
        "c": decision_pb2.OUTCOME_ALLOW_WITH_CAUTION,
    }
    async with running_ingest(url, mesh) as front:
        await front.decide([event("a", "u1"), event("b", "u1"), event("c", "u2"), event("r", "u2")])
        await front.decide([event("b", "u1")], "observer")
        await until(lambda: len(mesh.alerts.messages) == 2)
        await until(lambda: _empty(front))
    assert set(mesh.alerts.messages) == {(TENANT, "b", "decision.block"), (TENANT, "r", "decision.review")}
    block = mesh.alerts.messages[(TENANT, "b", "decision.block")]
    assert (block.entity_kind, block.entity) == ("user", "u1")
    assert block.severity == alerts_pb2.SEVERITY_HIGH
    assert list(block.reasons) == [decision_pb2.REASON_CODE_TOR_EXIT]
    assert block.event_time.seconds > 0
    assert "u1" not in block.summary


async def test_while_alerts_is_away_messages_wait_and_decisions_go_on(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.outcomes = {"b1": BLOCK, "b2": BLOCK}
    mesh.alerts.away()
    async with running_ingest(url, mesh) as front:
        [one] = await front.decide([event("b1")])
        assert one.decision.outcome == BLOCK
        await until(lambda: bool(mesh.alerts.requests))
        await front.decide([event("b2")])
        await asyncio.sleep(0.2)
        assert not mesh.alerts.messages
        mesh.alerts.back()
        await until(lambda: len(mesh.alerts.messages) == 2)
        await until(lambda: _empty(front))


async def test_what_was_not_told_is_told_after_a_restart(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.outcomes = {"b1": BLOCK}
    mesh.alerts.away()
    async with running_ingest(url, mesh) as front:
        await front.decide([event("b1")])
        await until(lambda: bool(mesh.alerts.requests))
    mesh.alerts.back()
    async with running_ingest(url, mesh) as front:
        await until(lambda: bool(mesh.alerts.messages))
        await until(lambda: _empty(front))
    assert set(mesh.alerts.messages) == {(TENANT, "b1", "decision.block")}


async def test_a_message_whose_receipt_was_lost_is_told_again_under_its_id(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.scoring.outcomes = {"b1": BLOCK}
    raise_alerts = mesh.alerts.RaiseAlerts
    lost: list[int] = []

    async def answer_lost(request: alerts_pb2.RaiseAlertsRequest, context: object) -> object:
        answer = await raise_alerts(request, context)
        if not lost:
            lost.append(1)
            await asyncio.sleep(5)  # beyond the call's deadline: it was taken, and nobody learns of it
        return answer

    await mesh.stop("alerts")
    mesh.alerts.RaiseAlerts = answer_lost  # type: ignore[method-assign]
    await mesh.start("alerts")
    async with running_ingest(sqlite_url, mesh, peer_timeout=0.3) as front:
        await front.decide([event("b1")])
        await until(lambda: len(mesh.alerts.requests) >= 2)
        await until(lambda: _empty(front))
    ids = {(m.tenant, m.event_id, m.kind) for r in mesh.alerts.requests for m in r.messages}
    assert ids == {(TENANT, "b1", "decision.block")}


async def _empty(front: Front) -> bool:
    await front.books()
    return await front.app._store.database.read(front.app._store.outbox_depth) == 0


async def test_books_that_do_not_balance_are_told_once_an_hour(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("e1")])
        assert await front.app.audit() == []
        with front.app._database.begin() as connection:
            connection.exec_driver_sql("UPDATE counters SET n = n + 1 WHERE name = 'decided'")
        assert await front.app.audit() == [TENANT]
        assert await front.app.audit() == [TENANT]
        told = [one for one in mesh.alerts.messages.values() if one.kind == "duty.accounting"]
        assert [(one.tenant, one.severity) for one in told] == [(TENANT, alerts_pb2.SEVERITY_HIGH)]


async def test_what_is_committed_during_a_call_goes_with_the_next(mesh: FakeMesh, sqlite_url: str) -> None:
    names = [f"b{n}" for n in range(5)]
    mesh.scoring.outcomes = dict.fromkeys(names, BLOCK)
    raise_alerts, go_on = mesh.alerts.RaiseAlerts, asyncio.Event()

    async def slow(request: alerts_pb2.RaiseAlertsRequest, context: object) -> object:
        answer = await raise_alerts(request, context)
        await go_on.wait()
        return answer

    await mesh.stop("alerts")
    mesh.alerts.RaiseAlerts = slow  # type: ignore[method-assign]
    await mesh.start("alerts")
    async with running_ingest(sqlite_url, mesh, peer_timeout=60.0) as front:
        await front.decide([event("b0", "u0")])
        await until(lambda: len(mesh.alerts.requests) >= 1)
        # While that call is under way: four commits, each with a message of its own.
        for name in names[1:]:
            await front.decide([event(name, f"u{name}")])
        go_on.set()
        await front.app._outbox.settle()
    # The sweep may have sent some of them once more meanwhile: on a slow machine their lease is over.
    assert names[1:] in [[one.event_id for one in call.messages] for call in mesh.alerts.requests]


async def test_a_message_that_alerts_cannot_take_holds_up_no_other(mesh: FakeMesh, sqlite_url: str) -> None:
    names = ["first", "b1", "poison", "b2"]
    mesh.scoring.outcomes = dict.fromkeys(names, BLOCK)
    raise_alerts, go_on = mesh.alerts.RaiseAlerts, asyncio.Event()

    async def picky(request: alerts_pb2.RaiseAlertsRequest, context: object) -> object:
        if any(one.event_id == "poison" for one in request.messages):
            mesh.alerts.requests.append(request)
            raise InvalidArgument("POISON", "this call cannot be taken")
        answer = await raise_alerts(request, context)
        await go_on.wait()
        return answer

    await mesh.stop("alerts")
    mesh.alerts.RaiseAlerts = picky  # type: ignore[method-assign]
    await mesh.start("alerts")
    async with running_ingest(sqlite_url, mesh, peer_timeout=60.0) as front:
        await front.decide([event("first", "u0")])
        await until(lambda: len(mesh.alerts.requests) >= 1)
        for name in names[1:]:
            await front.decide([event(name, f"u{name}")])
        go_on.set()
        await front.app._outbox.settle()
        assert {event_id for _, event_id, _ in mesh.alerts.messages} == {"first", "b1", "b2"}
        await front.books()
        depth = await front.app._store.database.read(front.app._store.outbox_depth)
        assert depth == 1, "what was not taken is tried again"
