"""What ingest does for a data subject: tells, erases, and remembers no more than that something was erased."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from services.common.erased import subject_of
from services.common.errors import Gone, Unavailable
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest, until
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import enforcement_pb2, ingest_pb2, labels_pb2, lists_pb2
from usher.subject.v1 import subject_pb2

KEY = bytes(range(32))
USER, OTHER = "viewer-Anna-4711", "viewer-Bob-4712"
REFUSED = ingest_pb2.EVENT_STATUS_REFUSED


def ledger_entry(user: str, sequence: int = 1, at_ms: int | None = None) -> subject_pb2.LedgerEntry:
    entry = subject_pb2.LedgerEntry(
        sequence=sequence, subject=subject_of(KEY, TENANT, user), erasure_id=f"er_{sequence}"
    )
    entry.erased_time.FromMilliseconds(now_ms() if at_ms is None else at_ms)
    return entry


async def erase(front: Front, user: str, **fields: Any) -> subject_pb2.EraseSubjectDataResponse:
    values: dict[str, Any] = {"entry": ledger_entry(user), "ledger_key": KEY, **fields}
    request = subject_pb2.EraseSubjectDataRequest(tenant=TENANT, user_id=user, erasure_id="er_1", **values)
    return await front.subjects.EraseSubjectData(request)


async def remaining(front: Front, user: str, **fields: Any) -> dict[str, int]:
    request = subject_pb2.VerifySubjectErasureRequest(tenant=TENANT, user_id=user, **fields)
    return dict((await front.subjects.VerifySubjectErasure(request)).remaining)


async def export(front: Front, user: str) -> tuple[dict[str, list[Any]], bytes]:
    stores: dict[str, list[Any]] = {}
    profile = b""
    request = subject_pb2.ExportSubjectDataRequest(tenant=TENANT, user_id=user)
    async for piece in front.subjects.ExportSubjectData(request):
        profile = piece.profile or profile
        for line in piece.json_lines.splitlines():
            stores.setdefault(piece.store, []).append(json.loads(line))
    return stores, profile


async def event_ids(front: Front, user: str) -> set[str]:
    request = subject_pb2.ListSubjectEventsRequest(tenant=TENANT, user_id=user)
    return {one async for piece in front.subjects.ListSubjectEvents(request) for one in piece.event_ids}


def broken(event_id: str, user: str) -> Any:
    """An event that fails: its region is none."""
    return event(event_id, user, region="nowhere")


async def test_an_export_holds_everything_of_the_subject_and_nothing_of_others(
    mesh: FakeMesh, url: str
) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", USER), event("e2", OTHER), broken("e3", USER), event("e4", USER)])

        stores, profile = await export(front, USER)

        assert [row["event"]["event_id"] for row in stores["decisions"]] == ["e1", "e4"]
        assert stores["decisions"][0]["decision"]["outcome"] == "ALLOW"
        assert [row["event_id"] for row in stores["failed_events"]] == ["e3"]
        assert profile == await front.profile(USER)
        assert OTHER not in json.dumps(stores)
        assert await event_ids(front, USER) == {"e1", "e3", "e4"}


async def test_an_erased_subject_leaves_nothing_and_others_stay(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        mine = [event("e1", USER), event("e2", USER)]
        others = [event("o1", OTHER)]
        await front.decide([*mine, *others, broken("e3", USER)])

        answer = await erase(front, USER)

        assert (answer.erased["decisions"], answer.erased["failed_events"], answer.erased["profiles"]) == (
            2,
            1,
            1,
        )
        assert await remaining(front, USER) == {}
        assert await export(front, USER) == ({}, b"")
        stores, _ = await export(front, OTHER)
        assert len(stores["decisions"]) == 1
        with pytest.raises(Gone) as gone:
            await front.decision("e1")
        assert gone.value.metadata["status"] == "ERASED"
        assert (await front.books()).balanced


@pytest.mark.parametrize("door", ["decide", "submit"])
async def test_a_repeated_erased_event_is_gone_also_after_a_restart(
    mesh: FakeMesh, url: str, door: str
) -> None:
    mine = [event("e1", USER), broken("e3", USER)]
    # Within the five minutes that clocks may differ: only its receipt tells that it was erased.
    ahead = event("e2", USER, at_ms=now_ms() + 120_000)
    async with running_ingest(url, mesh) as front:
        await front.decide([*mine, ahead])
        await erase(front, USER)
    async with running_ingest(url, mesh) as front:
        results = await getattr(front, door)([mine[0], ahead])
        assert [(one.status, one.failure.reason) for one in results] == [(REFUSED, "GONE")] * 2
        assert await remaining(front, USER) == {}
        books = await front.books()
        assert (books.refused_by_reason["GONE"], books.balanced) == (2, True)


async def test_late_events_from_before_an_erasure_are_gone_and_later_ones_are_new(
    mesh: FakeMesh, url: str
) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", USER)])
        await erase(front, USER, entry=ledger_entry(USER, at_ms=now_ms()))

        late = event("never-sent-before", USER, at_ms=now_ms() - 60_000)
        new = event("after", USER, at_ms=now_ms() + 1_000)
        gone, taken = await front.decide([late, new])

        assert (gone.status, gone.failure.reason) == (REFUSED, "GONE")
        assert taken.status == ingest_pb2.EVENT_STATUS_DECIDED


async def test_labels_and_list_entries_of_the_subject_go(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", USER), event("o1", OTHER)])
        labels = labels_pb2.RecordLabelsRequest(tenant=TENANT)
        about = {"l1": (2, USER), "l2": (1, "e1"), "l3": (2, OTHER), "l4": (1, "o1")}
        for label_id, (kind, name) in about.items():
            label = labels.labels.add(
                label_id=label_id, subject_kind=kind, subject=name, kind=1, source="analyst"
            )
            label.label_time.FromMilliseconds(now_ms())
        answer = await front.labels.RecordLabels(labels)
        assert [one.status for one in answer.results] == [labels_pb2.LABEL_STATUS_RECORDED] * 4
        for user in (USER, OTHER):
            entry = lists_pb2.ListEntry(
                kind=lists_pb2.LIST_KIND_BLOCK, entity_kind=1, entity=user, reason="r", actor="ann"
            )
            await front.lists.SetListEntry(lists_pb2.SetListEntryRequest(tenant=TENANT, entry=entry))
        stores, _ = await export(front, USER)
        assert (len(stores["labels"]), len(stores["list_entries"])) == (2, 1)
        assert "ann" not in json.dumps(stores["list_entries"])

        answer = await erase(front, USER)

        assert (answer.erased["labels"], answer.erased["list_entries"]) == (2, 1)
        assert await remaining(front, USER, event_ids=["e1"]) == {}
        left = await front.labels.ListLabels(labels_pb2.ListLabelsRequest(tenant=TENANT))
        assert {one.subject for one in left.labels} == {OTHER, "o1"}
        entries = await front.lists.ListEntries(lists_pb2.ListEntriesRequest(tenant=TENANT))
        assert [one.entity for one in entries.entries] == [OTHER]


async def test_a_label_under_way_while_its_event_was_erased_is_not_recorded(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("ev-anna", USER), event("ev-bob", OTHER)])
        await erase(front, USER)
        request = labels_pb2.RecordLabelsRequest(tenant=TENANT)
        for subject in ("ev-anna", "ev-bob"):
            label = request.labels.add(
                label_id=f"label-of-{subject[3:]}",
                subject_kind=labels_pb2.LABEL_SUBJECT_EVENT,
                subject=subject,
                kind=labels_pb2.LABEL_KIND_FRAUD_CONFIRMED,
                source="incident",
            )
            label.label_time.FromMilliseconds(now_ms())
        gone, kept = (await front.labels.RecordLabels(request)).results
        assert (gone.status, kept.status) == (
            labels_pb2.LABEL_STATUS_INVALID,
            labels_pb2.LABEL_STATUS_RECORDED,
        )
        assert "ERASED" in gone.error
        listed = await front.labels.ListLabels(labels_pb2.ListLabelsRequest(tenant=TENANT))
        assert [one.subject for one in listed.labels] == ["ev-bob"]


async def test_what_was_done_with_the_subject_s_decisions_goes_with_them(mesh: FakeMesh, url: str) -> None:
    mesh.compliance.suppressed = {USER, OTHER}
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", USER), event("o1", OTHER)])
        told = enforcement_pb2.ReportEnforcementRequest(tenant=TENANT)
        for event_id in ("e1", "o1"):
            one = told.enforcements.add(
                event_id=event_id,
                action=decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING,
                purpose="*",
                result=enforcement_pb2.ENFORCEMENT_RESULT_CARRIED_OUT,
                component="ads",
            )
            one.enforced_time.FromMilliseconds(now_ms())
        await front.enforcement.ReportEnforcement(told)
        stores, _ = await export(front, USER)
        assert [one["event_id"] for one in stores["enforcements"]] == ["e1"]

        answer = await erase(front, USER)

        assert answer.erased["enforcements"] == 1
        assert await remaining(front, USER, event_ids=["e1"]) == {}
        left = await front.enforcement.ListEnforcements(
            enforcement_pb2.ListEnforcementsRequest(tenant=TENANT)
        )
        assert [one.event_id for one in left.enforcements] == ["o1"]


async def test_an_erasure_can_be_repeated(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", USER)])
        await erase(front, USER)
        again = await erase(front, USER)
        assert sum(again.erased.values()) == 0
        state = await front.subjects.GetErasureState(subject_pb2.GetErasureStateRequest())
        assert (state.applied_sequence, state.restored) == (1, False)


async def test_what_is_held_stays_and_goes_when_the_hold_ends(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        start = now_ms()
        old, young = event("old", USER, at_ms=start - 600_000), event("young", USER, at_ms=start)
        await front.decide([old, young])
        keep = subject_pb2.Keep(store="decisions", ground="hold_1")
        keep.since_time.FromMilliseconds(start - 300_000)

        answer = await erase(front, USER, keep=[keep], entry=None, ledger_key=b"")

        assert (answer.erased["decisions"], answer.kept["decisions"]) == (1, 1)
        assert await remaining(front, USER, keep=[keep]) == {}
        assert await remaining(front, USER) == {"decisions": 1}
        assert (await front.decision("young")).event_id == "young"
        with pytest.raises(Gone):
            await front.decision("old")
        await erase(front, USER)
        assert await remaining(front, USER) == {}


async def test_messages_that_wait_for_alerts_lose_the_subject_only(mesh: FakeMesh, url: str) -> None:
    mesh.alerts.away()
    async with running_ingest(url, mesh) as front:
        mesh.scoring.outcomes = {"e1": 4, "e2": 4}
        await front.decide([event("e1", USER), event("e2", OTHER)])
        await until(lambda: len(mesh.alerts.requests) > 0)
        await erase(front, USER)
        # A call that was under way has ended with the erasure; alerts' own erasure comes after it or runs again.
        mesh.alerts.messages.clear()
        mesh.alerts.back()
        await until(lambda: any(m.entity == OTHER for m in mesh.alerts.messages.values()), 30)
        assert {m.entity for m in mesh.alerts.messages.values() if m.entity_kind == "user"} == {OTHER}


async def test_the_file_holds_nothing_of_an_erased_subject(mesh: FakeMesh, sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    async with running_ingest(sqlite_url, mesh) as front:
        for start in range(0, 600, 100):
            users = [USER if number % 3 else OTHER for number in range(start, start + 100)]
            await front.decide([event(f"ev-{user}-{start}-{i}", user) for i, user in enumerate(users)])
        await front.submit([event(f"sub-{i}", USER) for i in range(40)])
        await until_decided(front)

        await erase(front, USER)

        content = await asyncio.to_thread(read_all, path)
        assert USER.encode() not in content
        assert OTHER.encode() in content


async def until_decided(front: Front) -> None:
    async def nothing_waits() -> bool:
        return not (await front.books()).pending

    await until(nothing_waits)


def read_all(path: str) -> bytes:
    return b"".join(found.read_bytes() for found in Path(path).parent.glob(Path(path).name + "*"))


async def test_a_restored_backup_takes_nothing_in_until_the_ledger_was_applied(
    mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("e1", USER), event("o1", OTHER)])
    backup = tmp_path / "backup.db"
    with sqlite3.connect(path) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    async with running_ingest(sqlite_url, mesh) as front:
        erased_ms = now_ms()
        await erase(front, USER, entry=ledger_entry(USER, at_ms=erased_ms))
    for leftover in path.parent.glob(path.name + "-*"):
        leftover.unlink()
    shutil.copy(backup, path)

    async with running_ingest(sqlite_url, mesh, serving=False) as front:
        state = await front.subjects.GetErasureState(subject_pb2.GetErasureStateRequest())
        assert (state.applied_sequence, state.restored) == (0, True)
        with pytest.raises(Unavailable) as behind:
            await front.app.healthy()
        assert behind.value.reason == "ERASURES_BEHIND"
        with pytest.raises(Unavailable):
            await front.decide([event("e9", OTHER)])

        await front.subjects.ReapplyErasures(
            subject_pb2.ReapplyErasuresRequest(
                ledger_key=KEY, entries=[ledger_entry(USER, at_ms=erased_ms)], complete=True
            )
        )

        await front.app.healthy()
        assert await remaining(front, USER) == {}
        stores, _ = await export(front, OTHER)
        assert len(stores["decisions"]) == 1
        [result] = await front.decide([event("e1", USER, at_ms=erased_ms - 1)])
        assert result.failure.reason == "GONE"
        assert USER.encode() not in await asyncio.to_thread(read_all, str(path))
