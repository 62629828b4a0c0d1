"""Training events, the sample of what was allowed, the control group and reports over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import scoring as scoring_cli
from services.common.errors import InvalidArgument, NotFound
from services.common.feedback_policy import FeedbackPolicy
from services.ingest.records import Commit, Committed, LostRaceError
from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2, lists_pb2

ALLOW, CAUTION = decision_pb2.OUTCOME_ALLOW, decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
BLOCK = decision_pb2.OUTCOME_BLOCK
PLAYBACK = 1 << event_pb2.EVENT_CLASS_PLAYBACK
DRAWN = FeedbackPolicy(1.0, 2, 1_000, PLAYBACK, 1.0)


@pytest.fixture
async def front(mesh: FakeMesh, sqlite_url: str) -> AsyncIterator[Front]:
    async with running_ingest(sqlite_url, mesh) as running:
        yield running


def codes(decision: decision_pb2.Decision) -> list[int]:
    return [reason.code for reason in decision.reasons]


async def test_the_control_group_is_let_through_with_caution_and_capped(mesh: FakeMesh, front: Front) -> None:
    front.app._policy.feedback = DRAWN
    mesh.scoring.outcomes = {f"e{i}": BLOCK for i in range(9)}
    names = ("e0", "e1", "e2", "e3", "e4")
    plays = [event(name, f"u{name}") for name in names[:2]]
    large = event("e2", "ue2", data_volume_bytes=1_001)
    pay = event("e3", "ue3", event_type="purchase")
    over = event("e4", "ue4")
    decided = [one.decision for one in await front.decide([*plays, large, pay, over])]
    assert [one.outcome for one in decided] == [CAUTION, CAUTION, BLOCK, BLOCK, BLOCK]
    assert [one.would_be for one in decided] == [BLOCK] * 5
    assert codes(decided[0])[0] == decision_pb2.REASON_CODE_CONTROL_GROUP
    assert not decided[0].actions
    [again] = await front.decide([plays[0]])
    assert again.decision == decided[0], "a repeat is answered as the first"


async def test_the_cap_holds_over_processes_and_restarts(url: str, mesh: FakeMesh) -> None:
    cap = FeedbackPolicy(1.0, 3, 1_000, PLAYBACK, 0.0)
    mesh.scoring.outcomes = {f"e{i}": BLOCK for i in range(9)}
    outcomes = []
    async with running_ingest(url, mesh) as one, running_ingest(url, mesh, socket="ingest2") as two:
        one.app._policy.feedback = two.app._policy.feedback = cap
        for number in range(4):
            [result] = await (one, two)[number % 2].decide([event(f"e{number}", f"u{number}")])
            outcomes.append(result.decision.outcome)
        assert outcomes == [CAUTION, CAUTION, CAUTION, BLOCK]
    async with running_ingest(url, mesh) as again:
        again.app._policy.feedback = cap
        [result] = await again.decide([event("e8", "u8")])
        assert result.decision.outcome == BLOCK, "a restart gives no further places"
        told = await again.feedback.GetControlGroup(feedback_pb2.GetControlGroupRequest(tenant=TENANT))
    assert told.at_most_an_hour == 3
    assert sum(one.taken for one in told.hours) == 3


async def test_an_act_that_is_decided_again_keeps_its_place(mesh: FakeMesh, front: Front) -> None:
    front.app._policy.feedback = FeedbackPolicy(1.0, 1, 1_000, PLAYBACK, 0.0)
    mesh.scoring.outcomes = {"e0": BLOCK, "e1": BLOCK}
    store, lost = front.app._store, []
    commit = store.commit

    def race(what: Commit) -> Committed:
        if not lost:
            lost.append(what)
            raise LostRaceError([])
        return commit(what)

    store.commit = race  # type: ignore[method-assign]
    [first] = await front.decide([event("e0", "u0")])
    [second] = await front.decide([event("e1", "u1")])
    assert lost
    assert [first.decision.outcome, second.decision.outcome] == [CAUTION, BLOCK]
    told = await front.feedback.GetControlGroup(feedback_pb2.GetControlGroupRequest(tenant=TENANT))
    assert told.this_hour <= 1
    assert [one.taken for one in told.hours] == [1]


async def test_the_control_group_is_told(mesh: FakeMesh, front: Front) -> None:
    ask = feedback_pb2.GetControlGroupRequest(tenant=TENANT)
    off = await front.feedback.GetControlGroup(ask)
    assert (off.share, off.sample_share, off.this_hour, list(off.hours)) == (0.0, 0.0, 0, [])
    assert off.policy_set == front.app._policy.policy_set
    assert not off.HasField("report_time")

    front.app._policy.feedback = DRAWN
    mesh.scoring.outcomes = {f"e{i}": BLOCK for i in range(3)}
    await front.decide([event(f"e{i}", f"u{i}") for i in range(3)])
    report = feedback_pb2.FeedbackReport(tenant=TENANT, sampled=7, control_group=2)
    report.time.seconds = 1_000
    report.control_abusive.count, report.control_abusive.of = 1, 2
    report.misses.missed = 4.0
    await front.feedback.PutFeedbackReport(feedback_pb2.PutFeedbackReportRequest(report=report))
    told = await front.feedback.GetControlGroup(ask)
    assert (told.share, told.at_most_an_hour, told.most_bytes, told.sample_share) == (1.0, 2, 1_000, 1.0)
    assert list(told.classes) == [event_pb2.EVENT_CLASS_PLAYBACK]
    assert [one.taken for one in told.hours] == [2], "the cap"
    assert (told.sampled, told.control_group, told.misses.missed) == (7, 2, 4.0)
    assert (told.control_abusive.count, told.control_abusive.of) == (1, 2)
    other = await front.feedback.GetControlGroup(feedback_pb2.GetControlGroupRequest(tenant="other"))
    assert not other.hours
    assert not other.HasField("misses")
    with pytest.raises(InvalidArgument):
        await front.feedback.GetControlGroup(feedback_pb2.GetControlGroupRequest())

    shown = await asyncio.to_thread(
        CliRunner().invoke,
        scoring_cli.app,
        ["control", "--target", f"unix:{mesh.folder}/ingest.sock", "--tenant", TENANT],
    )
    assert shown.exit_code == 0, shown.output
    assert "100.00% of acts that would be held up (playback, up to 0 MB); at most 2 an hour" in shown.output
    assert "2 let through, 1 of 2 known ones abuse" in shown.output


async def test_a_block_list_and_a_tenant_that_observes_know_no_control_group(
    mesh: FakeMesh, front: Front
) -> None:
    front.app._policy.feedback = DRAWN
    mesh.scoring.outcomes = {"e0": BLOCK, "e1": BLOCK}
    entry = lists_pb2.ListEntry(
        kind=lists_pb2.LIST_KIND_BLOCK,
        entity_kind=lists_pb2.LISTED_ENTITY_USER,
        entity="u0",
        reason="known",
        actor="ann",
    )
    await front.lists.SetListEntry(lists_pb2.SetListEntryRequest(tenant=TENANT, entry=entry))
    [listed] = await front.decide([event("e0", "u0")])
    assert listed.decision.outcome == BLOCK
    [observed] = await front.decide([event("e1", "u1")], "newcomer")
    assert observed.decision.outcome == ALLOW
    assert decision_pb2.REASON_CODE_CONTROL_GROUP not in codes(observed.decision)


async def test_nobody_is_drawn_while_a_service_is_away(mesh: FakeMesh, front: Front) -> None:
    front.app._policy.feedback = DRAWN
    mesh.scoring.outcomes = {"e0": BLOCK}
    mesh.fraud.away()
    [result] = await front.decide([event("e0", "u0")])
    assert result.decision.outcome == BLOCK


async def test_training_events_and_the_sample_are_read_page_by_page(mesh: FakeMesh, front: Front) -> None:
    mesh.scoring.outcomes = {"e1": BLOCK}
    await front.decide([event(f"e{i}", f"u{i}") for i in range(5)])
    empty = await front.feedback.ListReviewSample(feedback_pb2.ListReviewSampleRequest(tenant=TENANT))
    assert list(empty.decisions) == [], "by default nobody is drawn"
    front.app._policy.feedback = DRAWN
    found, after, more = [], 0, True
    while more:
        page = await front.feedback.ListReviewSample(
            feedback_pb2.ListReviewSampleRequest(tenant=TENANT, after_position=after, page_size=2)
        )
        found += [one.event_id for one in page.decisions]
        after, more = page.next_position, page.more
    assert found == ["e0", "e2", "e3", "e4"]
    with pytest.raises(InvalidArgument):
        await front.feedback.ListTrainingEvents(
            feedback_pb2.ListTrainingEventsRequest(tenant=TENANT, page_size=1_001)
        )


async def test_the_newest_report_is_kept(url: str, mesh: FakeMesh, tmp_path: Path) -> None:
    async with running_ingest(url, mesh) as front:
        ask = feedback_pb2.GetFeedbackReportRequest(tenant=TENANT)
        with pytest.raises(NotFound):
            await front.feedback.GetFeedbackReport(ask)
        for seconds, events in ((2_000, 7), (1_000, 3), (2_000, 8)):
            report = feedback_pb2.FeedbackReport(tenant=TENANT, events=events)
            report.time.seconds = seconds
            await front.feedback.PutFeedbackReport(feedback_pb2.PutFeedbackReportRequest(report=report))
        assert (await front.feedback.GetFeedbackReport(ask)).report.events == 8


async def test_what_reports_say_is_a_metric(url: str, mesh: FakeMesh) -> None:
    async with running_ingest(url, mesh) as front:
        registry, reports = front.app._telemetry.registry, front.app._reports

        async def metrics() -> tuple[float | None, float | None]:
            await reports.look()
            return (
                registry.get_sample_value("usher_fairness_groups_alarming"),
                registry.get_sample_value("usher_feedback_report_age_seconds"),
            )

        assert await metrics() == (0.0, 0.0), "no outcomes were looked at"
        now = front.app._clock.now_ms()
        for tenant, age_s, alarming in (("a", 7_200, 2), ("b", 60, 1)):
            report = feedback_pb2.FeedbackReport(tenant=tenant)
            report.time.FromMilliseconds(now - age_s * 1_000)
            for number in range(3):
                report.groups.add(dimension="country", group=f"C{number}", alarming=number < alarming)
            await front.feedback.PutFeedbackReport(feedback_pb2.PutFeedbackReportRequest(report=report))
        alarming_groups, age = await metrics()
        assert alarming_groups == 3.0
        assert age is not None
        assert 7_200 <= age < 7_200 + 600
