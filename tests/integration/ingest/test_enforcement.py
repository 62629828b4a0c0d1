"""What callers did with decisions: recorded once, of decided events and asked actions only, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.errors import InvalidArgument
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import enforcement_pb2

E = enforcement_pb2
SUPPRESS = decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING
RECORDED, DUPLICATE, CONFLICT = (
    E.ENFORCEMENT_STATUS_RECORDED,
    E.ENFORCEMENT_STATUS_DUPLICATE,
    E.ENFORCEMENT_STATUS_CONFLICT,
)


def suppressed(event_id: str, **fields: Any) -> E.Enforcement:
    """A confirmation that the recommender left a purpose out."""
    values: dict[str, Any] = {
        "action": SUPPRESS,
        "purpose": "targeted_advertising",
        "result": E.ENFORCEMENT_RESULT_CARRIED_OUT,
        "component": "recommender",
        "enforced_time": Timestamp(seconds=1_795_000_000),
    }
    return E.Enforcement(event_id=event_id, **{**values, **fields})


async def report(front: Front, *told: E.Enforcement, tenant: str = TENANT) -> list[E.EnforcementOutcome]:
    request = E.ReportEnforcementRequest(tenant=tenant, enforcements=told)
    return list((await front.enforcement.ReportEnforcement(request)).outcomes)


async def kept(front: Front, *event_ids: str, **more: Any) -> E.ListEnforcementsResponse:
    request = E.ListEnforcementsRequest(tenant=TENANT, event_ids=event_ids, **more)
    answer: E.ListEnforcementsResponse = await front.enforcement.ListEnforcements(request)
    return answer


async def test_a_confirmation_is_kept_once_and_never_changed(mesh: FakeMesh, url: str) -> None:
    mesh.compliance.suppressed = {"u1"}
    before = now_ms()
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", "u1"), event("e2", "u1")])
        [first, same] = await report(front, suppressed("e1"), suppressed("e1"))
        assert (first.status, same.status) == (RECORDED, DUPLICATE)
        [otherwise] = await report(front, suppressed("e1", result=E.ENFORCEMENT_RESULT_NOT_CARRIED_OUT))
        assert otherwise.status == CONFLICT
        assert "SAID_OTHERWISE" in otherwise.error
        [another] = await report(front, suppressed("e1", component="ads"))
        assert another.status == RECORDED, "each component speaks for itself"
        await report(front, suppressed("e2", purpose="*"))
    async with running_ingest(url, mesh) as front:
        listed = await kept(front, "e1")
        assert [one.component for one in listed.enforcements] == ["recommender", "ads"]
        assert listed.enforcements[0].recorded_time.ToMilliseconds() >= before
        [again] = await report(front, suppressed("e1"))
        assert again.status == DUPLICATE
        first_page = await kept(front, page_size=2)
        rest = await kept(front, page_size=2, page_token=first_page.next_page_token)
        assert [one.event_id for one in (*first_page.enforcements, *rest.enforcements)] == ["e1", "e1", "e2"]
        assert rest.next_page_token == ""


async def test_only_what_a_decision_asks_of_its_caller_can_be_confirmed(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    mesh.compliance.suppressed = {"u1"}
    mesh.scoring.list_addresses = {"e1"}
    block, listing = decision_pb2.ACTION_KIND_BLOCK, decision_pb2.ACTION_KIND_LIST_ADDRESS
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("e1", "u1"), event("e2", "u2")])
        outcomes = await report(
            front,
            suppressed("nothing"),
            suppressed("e2"),
            suppressed("e1", purpose="analytics"),
            suppressed("e1", action=block, purpose=""),
            suppressed("e1", action=listing, purpose=""),
        )
        assert [E.EnforcementStatus.Name(one.status).rpartition("STATUS_")[2] for one in outcomes] == [
            "UNKNOWN",
            "NOT_ASKED",
            "NOT_ASKED",
            "NOT_ASKED",
            "NOT_ASKED",
        ]
        elsewhere = await report(front, suppressed("e1"), tenant="other")
        assert elsewhere[0].status == E.ENFORCEMENT_STATUS_UNKNOWN
        assert not (await kept(front)).enforcements


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"event_id": "no spaces"}, "event_id"),
        ({"action": 0}, "action"),
        ({"action": 99}, "action"),
        ({"purpose": ""}, "purpose"),
        ({"action": decision_pb2.ACTION_KIND_BLOCK}, "purpose"),
        ({"result": 0}, "result"),
        ({"component": "The Recommender"}, "component"),
        ({"reference": "a b"}, "reference"),
        ({"enforced_time": None}, "enforced_time"),
        ({"enforced_time": Timestamp(seconds=-5)}, "enforced_time"),
    ],
)
async def test_what_is_wrong_with_one_is_named_and_the_others_are_taken(
    mesh: FakeMesh, sqlite_url: str, fields: dict[str, Any], named: str
) -> None:
    mesh.compliance.suppressed = {"u1"}
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("e1", "u1")])
        event_id = fields.pop("event_id", "e1")
        wrong, right = await report(front, suppressed(event_id, **fields), suppressed("e1"))
        assert wrong.status == E.ENFORCEMENT_STATUS_INVALID
        assert wrong.error.startswith(f"{named}: ")
        assert right.status == RECORDED


async def test_a_call_as_a_whole_has_limits(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        for told, reason in (
            ([], "ENFORCEMENTS_MISSING"),
            ([suppressed("e1")] * 1_001, "TOO_MANY_ENFORCEMENTS"),
        ):
            with pytest.raises(InvalidArgument) as refused:
                await report(front, *told)
            assert refused.value.reason == reason
        with pytest.raises(InvalidArgument) as many:
            await kept(front, *(f"e{number}" for number in range(501)))
        assert many.value.reason == "TOO_MANY_EVENT_IDS"
