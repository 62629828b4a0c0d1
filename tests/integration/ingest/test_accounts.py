"""Account facts over a real server: kept, seen by decisions, told to the subject, erased."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import InvalidArgument, NotFound
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest
from tests.integration.ingest.test_subjects import erase, export
from usher.event.v1 import event_pb2
from usher.ingest.v1 import accounts_pb2

RECORDED, UNCHANGED = accounts_pb2.ACCOUNT_STATUS_RECORDED, accounts_pb2.ACCOUNT_STATUS_UNCHANGED
INVALID = accounts_pb2.ACCOUNT_STATUS_INVALID


async def record(front: Front, user: str, at_ms: int, **facts: Any) -> accounts_pb2.AccountResult:
    request = accounts_pb2.RecordAccountsRequest(tenant=TENANT)
    one = request.accounts.add(user_id=user, facts=event_pb2.AccountFacts(**facts))
    one.as_of_time.FromMilliseconds(at_ms)
    return (await front.accounts.RecordAccounts(request)).results[0]


def seen(mesh: FakeMesh) -> list[event_pb2.Event]:
    return [event_pb2.Event.FromString(one) for call in mesh.scoring.requests for one in call.events]


async def test_facts_reach_decisions_outlive_restarts_and_are_forgotten(mesh: FakeMesh, url: str) -> None:
    now = now_ms()
    async with running_ingest(url, mesh) as front:
        assert (await record(front, "u1", now - 1_000, chargebacks=2, plan="gold")).status == RECORDED
        assert (await record(front, "u1", now - 1_000, chargebacks=2)).status == UNCHANGED
        assert (await record(front, "u1", now - 5_000, chargebacks=0)).status == UNCHANGED
        wrong = await record(front, "u1", now + 3_600_000, chargebacks=1)
        assert (wrong.status, "IN_THE_FUTURE" in wrong.error) == (INVALID, True)
        await front.decide([event("e1", "u1"), event("e2", "u2")])
        # While its viewer is in the cache of profiles.
        assert (await record(front, "u1", now, chargebacks=4)).status == RECORDED
        await front.decide([event("e3", "u1")])
    async with running_ingest(url, mesh) as front:
        own = event_pb2.AccountFacts(chargebacks=0)
        await front.decide([event("e4", "u1", account=own)])
        told = {one.event_id: one.account for one in seen(mesh)}
        assert [told[name].chargebacks for name in ("e1", "e2", "e3", "e4")] == [2, 0, 4, 0]
        assert told["e4"].plan == "gold"

        shown = await front.accounts.GetProfile(accounts_pb2.GetProfileRequest(tenant=TENANT, user_id="u1"))
        assert shown.facts.chargebacks == 4
        assert shown.as_of["chargebacks"].ToMilliseconds() == now
        assert shown.profile.sentences[0]
        stores, _ = await export(front, "u1")
        assert stores["account_facts"] == [{"chargebacks": 4, "plan": "gold"}]
        await erase(front, "u1")
        with pytest.raises(NotFound):
            await front.accounts.GetProfile(accounts_pb2.GetProfileRequest(tenant=TENANT, user_id="u1"))


async def test_a_repeat_with_the_same_content_stays_a_repeat_whatever_was_told_since(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        one = event("e1", "u1")
        [first] = await front.decide([one])
        await record(front, "u1", now_ms(), chargebacks=2)
        [again] = await front.decide([one])
        assert again.decision == first.decision


async def test_a_call_that_cannot_be_meant_is_refused(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        with pytest.raises(InvalidArgument):
            await front.accounts.RecordAccounts(accounts_pb2.RecordAccountsRequest(tenant=TENANT))
        with pytest.raises(InvalidArgument):
            await front.accounts.GetProfile(accounts_pb2.GetProfileRequest(tenant=TENANT, user_id=""))
