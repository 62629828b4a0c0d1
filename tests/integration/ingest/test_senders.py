"""API keys, rates and quotas at a running ingest: over the wire, on a real database."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from services.ingest.senders import RIGHTS
from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import accounts_pb2, enforcement_pb2, flow_pb2, ingest_pb2, keys_pb2, labels_pb2

SUBMIT, DECIDE, READ = keys_pb2.KEY_RIGHT_SUBMIT, keys_pb2.KEY_RIGHT_DECIDE, keys_pb2.KEY_RIGHT_READ


async def make(front: Front, **fields: Any) -> tuple[str, str]:
    request = keys_pb2.CreateKeyRequest(**{"tenant": TENANT, "name": "test", **fields})
    answer = await front.keys.CreateKey(request)
    return answer.key.key_id, answer.secret


def shown(secret: str) -> dict[str, Any]:
    return {"metadata": [("x-api-key", secret)]}


async def test_without_a_key_loopback_passes_unless_keys_are_required(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        assert [r.status for r in await front.decide([event()])] == [ingest_pb2.EVENT_STATUS_DECIDED]
    async with running_ingest(sqlite_url, mesh, senders={"keys_required": True}) as front:
        for call in (
            front.decide([event("e2")]),
            front.submit([event("e2")]),
            front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant=TENANT, event_id="e1")),
            front.flow.AckDecisions(flow_pb2.AckDecisionsRequest(tenant=TENANT, subscriber="s")),
        ):
            with pytest.raises(Unauthenticated) as refused:
                await call
            assert refused.value.reason == "KEY_MISSING"
        _, secret = await make(front)
        bearer = {"metadata": [("authorization", f"Bearer {secret}")]}
        for event_id, sent in (("e2", shown(secret)), ("e3", bearer)):
            assert (await front.decide([event(event_id)], **sent))[0].HasField("decision")
        with pytest.raises(Unauthenticated):
            await front.decide([event("e4")], metadata=[("x-api-key", secret), ("x-api-key", secret + "x")])


async def test_a_key_is_judged_also_where_none_is_required(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        key_id, secret = await make(front, rights=[DECIDE])
        assert (await front.decide([event()], **shown(secret)))[0].HasField("decision")
        with pytest.raises(Unauthenticated) as wrong:
            await front.decide([event("e2")], **shown(secret[:-3] + "abc"))
        assert wrong.value.reason == "KEY_INVALID"
        with pytest.raises(PermissionDenied) as other:
            await front.decide([event("e2")], "beta", **shown(secret))
        assert other.value.reason == "KEY_TENANT"
        with pytest.raises(PermissionDenied) as right:
            await front.ingest.GetDecision(
                ingest_pb2.GetDecisionRequest(tenant=TENANT, event_id="e1"), **shown(secret)
            )
        assert right.value.reason == "KEY_RIGHT"
        with pytest.raises(PermissionDenied) as method:
            await front.ingest.SetMode(
                ingest_pb2.SetModeRequest(tenant=TENANT, mode=decision_pb2.MODE_OBSERVE), **shown(secret)
            )
        assert method.value.reason == "KEY_METHOD"
        await front.keys.RevokeKey(keys_pb2.RevokeKeyRequest(key_id=key_id))
        with pytest.raises(Unauthenticated) as ended:
            await front.decide([event("e3")], **shown(secret))
        assert ended.value.reason == "KEY_ENDED"
        # Claims of a tenant that were not proved are not in its books.
        request = ingest_pb2.GetAccountingRequest()
        books = {one.tenant: one for one in (await front.ingest.GetAccounting(request)).accounts}
        assert books[TENANT].received == 1
        assert "beta" not in books
        assert dict(books["-"].refused_by_reason) == {"KEY_INVALID": 1, "KEY_TENANT": 1, "KEY_ENDED": 1}


async def test_rotation_overlaps_and_use_is_noted(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        key_id, secret = await make(front)
        rotated = await front.keys.RotateKey(keys_pb2.RotateKeyRequest(key_id=key_id))
        for number, one in enumerate((secret, rotated.secret)):
            assert (await front.decide([event(f"r{number}")], **shown(one)))[0].HasField("decision")
        listed = (await front.keys.ListKeys(keys_pb2.ListKeysRequest(tenant=TENANT))).keys
        assert {one.key_id for one in listed} == {key_id, rotated.key.key_id}
        assert all(one.HasField("last_used_time") for one in listed)
        again = keys_pb2.RotateKeyRequest(key_id=rotated.key.key_id)
        again.overlap.FromMilliseconds(0)
        await front.keys.RotateKey(again)
        with pytest.raises(Unauthenticated):
            await front.decide([event("r3")], **shown(rotated.secret))
        # The first one still lives through its own overlap of seven days.
        assert (await front.decide([event("r4")], **shown(secret)))[0].HasField("decision")


async def test_one_key_cannot_starve_another(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        _, greedy = await make(front, requests_per_minute=3)
        _, modest = await make(front, requests_per_minute=3)
        for number in range(3):
            await front.decide([event(f"g{number}")], **shown(greedy))
        with pytest.raises(ResourceExhausted) as refused:
            await front.decide([event("g3"), event("g4")], **shown(greedy))
        assert refused.value.reason == "RATE_EXCEEDED"
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 20
        assert (await front.decide([event("m0")], **shown(modest)))[0].HasField("decision")
        books = await front.books()
        assert dict(books.refused_by_reason) == {"RATE_EXCEEDED": 2}
        assert books.balanced


async def test_quotas_count_events_of_a_tenant(mesh: FakeMesh, sqlite_url: str) -> None:
    senders = {"quota": "5/hour", "tenant_quotas": ("rich=1000/hour",)}
    async with running_ingest(sqlite_url, mesh, senders=senders) as front:
        await front.decide([event(f"e{n}") for n in range(4)])
        with pytest.raises(ResourceExhausted) as refused:
            await front.submit([event(f"f{n}") for n in range(2)])
        assert refused.value.reason == "QUOTA_EXCEEDED"
        assert (await front.submit([event("f0")]))[0].status == ingest_pb2.EVENT_STATUS_ACCEPTED
        assert len(await front.decide([event(f"e{n}") for n in range(50)], "rich")) == 50
        books = await front.books()
        assert dict(books.refused_by_reason) == {"QUOTA_EXCEEDED": 2}


async def test_a_subscriber_resumes_where_it_acked(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event(f"e{n}", f"u{n}") for n in range(6)])

        async def read(number: int) -> list[Any]:
            request = ingest_pb2.WatchDecisionsRequest(tenant=TENANT, subscriber="sink")
            found: list[Any] = []
            call = front.ingest.WatchDecisions(request)
            async for piece in call:
                found += piece.decisions
                if len(found) >= number:
                    call.cancel()
                    break
            return found

        first = await read(6)
        ack = flow_pb2.AckDecisionsRequest(tenant=TENANT, subscriber="sink", position=first[3].position)
        assert (await front.flow.AckDecisions(ack)).position == first[3].position
        assert [one.event_id for one in await read(2)] == [one.event_id for one in first[4:]]
        listed = await front.flow.ListSubscribers(flow_pb2.ListSubscribersRequest())
        assert [(one.name, one.lag_decisions) for one in listed.subscribers] == [("sink", 2)]


def test_every_method_that_a_key_opens_exists() -> None:
    known = {
        f"/{descriptor.full_name}/{method.name}"
        for descriptor in (
            ingest_pb2.DESCRIPTOR.services_by_name["IngestService"],
            flow_pb2.DESCRIPTOR.services_by_name["FlowService"],
            enforcement_pb2.DESCRIPTOR.services_by_name["EnforcementService"],
            accounts_pb2.DESCRIPTOR.services_by_name["AccountService"],
            labels_pb2.DESCRIPTOR.services_by_name["LabelService"],
        )
        for method in descriptor.methods
    }
    assert set(RIGHTS) <= known
