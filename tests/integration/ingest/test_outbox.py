"""What is committed is told, at least once, under ids that stay the same."""

from __future__ import annotations

import asyncio

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
