"""`usher load` as a process: the account at the end, calls that fail, books that lack something."""

from __future__ import annotations

import json

from services.common.errors import ResourceExhausted, Unavailable, UsherError
from tests.integration.cli.fake_ingest import Mesh, run_plain
from usher.event.v1 import event_pb2

FEW = ["--users", "20", "--seconds", "0.5"]


async def load(mesh: Mesh, *options: str) -> tuple[int, list[dict], str]:
    status, out, told = await run_plain("load", "--target", mesh.target, "--json", *FEW, *options)
    assert out, told
    return status, [json.loads(line) for line in out.splitlines()], told


async def test_what_is_sent_is_in_the_books(mesh: Mesh) -> None:
    status, lines, told = await load(mesh, "--rate", "100", "--rate", "400", "--batch", "10")
    assert status == 0, told
    slow, fast, books = lines
    # 0.5 s at 100/s and at 400/s, ten events a call.
    assert (slow["events"], slow["calls"]) == (50, 5)
    assert (fast["events"], fast["calls"]) == (200, 20)
    assert fast["endings"] == {"decided": 200}
    assert fast["latency_ms"]["p90"] > 0
    assert books["sent"] == 250
    assert books["without_ending"] == 0
    assert books["balanced"] is True
    assert {row["name"]: (row["booked"], row["verdict"]) for row in books["books"]}["decided"] == (250, "ok")
    assert mesh.ingest.tenants == {"load"}
    ids = [event_id for call in mesh.ingest.calls for event_id in call]
    assert len(set(ids)) == 250
    assert all(one.user_id and one.HasField("event_time") for one in mesh.ingest.events)


async def test_the_timetable_waits_for_no_answer(mesh: Mesh) -> None:
    mesh.ingest.delay = 0.4
    status, [step, _], _ = await load(mesh, "--rate", "40")
    assert status == 0
    # 20 calls, 25 ms apart, each answered after 400 ms: 16 are under way at a time.
    assert mesh.ingest.most_in_flight > 8
    assert step["latency_ms"]["p50"] >= 400


async def test_calls_beyond_the_bound_wait_and_their_wait_counts(mesh: Mesh) -> None:
    mesh.ingest.delay = 0.1
    status, [step, _], _ = await load(mesh, "--rate", "40", "--in-flight", "2")
    assert status == 0
    assert mesh.ingest.most_in_flight == 2
    assert step["held_calls"] > 0
    # Ten rounds of two calls take 1 s at least; the last was due after 475 ms.
    assert step["latency_ms"]["max"] >= 500


async def test_an_answer_that_is_lost_is_asked_for_again(mesh: Mesh) -> None:
    mesh.ingest.remembers = True
    lost: list[str] = []

    def swallow(batch: list[event_pb2.Event]) -> bool:
        if len(lost) < 2:
            lost.append(batch[0].event_id)
            return True
        return False

    mesh.ingest.swallow = swallow
    status, [step, books], told = await load(mesh, "--rate", "40", "--batch", "4")
    assert status == 0, told
    assert step["failed_calls"] == {"DRAINING": 2}
    assert "8 events without an answer" in told
    rows = {row["name"]: row for row in books["books"]}
    assert rows["decided"]["booked"] == 20
    assert rows["duplicate"]["booked"] == 8


async def test_a_decision_that_the_books_lack_is_status_1(mesh: Mesh) -> None:
    def plan(batch: list[event_pb2.Event]) -> UsherError | None:
        # One decision is answered and not booked.
        mesh.ingest.books.decided -= len(mesh.ingest.calls) == 3
        return None

    mesh.ingest.plan = plan
    status, [_, books], told = await load(mesh, "--rate", "20")
    assert status == 1
    assert "decided: 1 missing" in told
    assert {row["name"]: row["verdict"] for row in books["books"]}["decided"] == "1 missing"


async def test_events_that_never_get_an_answer_are_status_1(mesh: Mesh) -> None:
    mesh.ingest.plan = lambda batch: Unavailable("DRAINING", "gone") if len(mesh.ingest.calls) > 5 else None
    status, [_, books], told = await load(mesh, "--rate", "20", "--resolve-for", "0.5")
    assert status == 1
    assert books["without_ending"] == 5
    assert "5 events without an ending" in told


async def test_a_full_mesh_is_an_answer_and_nothing_is_missing(mesh: Mesh) -> None:
    def plan(batch: list[event_pb2.Event]) -> UsherError | None:
        if len(mesh.ingest.calls) % 2:
            return None
        mesh.ingest.books.received += len(batch)
        mesh.ingest.books.refused += len(batch)
        return ResourceExhausted("QUEUE_FULL", "come back", retry_after=0.1)

    mesh.ingest.plan = plan
    status, [step, books], _ = await load(mesh, "--rate", "20")
    assert status == 0
    assert step["endings"] == {"decided": 5, "refused": 5}
    assert books["without_ending"] == 0


async def test_the_table_for_people(mesh: Mesh) -> None:
    status, out, _ = await run_plain("load", "--target", mesh.target, *FEW, "--rate", "20")
    assert status == 0
    rows = [line.split() for line in out.splitlines() if line]
    assert rows[1][:2] == ["20", "10"]
    assert ["decided", "10", "10", "ok"] in rows
    assert "10 events sent, 0 without an ending; the books are balanced" in out


async def test_only_a_mesh_of_this_machine(mesh: Mesh) -> None:
    status, out, told = await run_plain("load", "--target", "192.0.2.1:50051", *FEW)
    assert (status, out) == (2, "")
    assert "neither loopback" in told


async def test_a_mesh_that_is_away(short_tmp_path) -> None:
    status, out, told = await run_plain("load", "--target", f"unix:{short_tmp_path}/none.sock", *FEW)
    assert (status, out) == (2, "")
    assert "UNAVAILABLE" in told
