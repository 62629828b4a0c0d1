"""`usher submit` and `usher decide` as processes, against an ingest of the test's own on a real gRPC
server.
"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from services.common.errors import (
    InvalidArgument,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    UsherError,
)
from tests.integration.cli.fake_ingest import FakeIngest, Mesh, Ran, event, events, run, start
from usher.event.v1 import event_pb2


async def test_decide_answers_every_line_in_order(mesh: Mesh) -> None:
    mesh.ingest.delay = 0.02
    ids = [f"e-{number}" for number in range(3000)]
    ran = await run("decide", mesh, events(ids), "--tenant", "acme")
    assert ran.status == 0
    assert [line["event_id"] for line in ran.lines] == ids
    assert {line["outcome"] for line in ran.lines} == {"ALLOW"}
    assert ran.account == {"decided": 3000, "lines": 3000}
    assert ran.summary == [["ALLOW", "3,000"], ["unknown", "none", "3,000"]]
    assert sorted(event_id for call in mesh.ingest.calls for event_id in call) == sorted(ids)
    assert max(map(len, mesh.ingest.calls)) <= 256
    assert 1 < mesh.ingest.most_in_flight <= 4
    assert mesh.ingest.tenants == {"acme"}


async def test_a_file_and_the_outcomes(mesh: Mesh, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    # The last line has no end, and is a line all the same.
    path.write_text(events(["e-1", "block-2", "duplicate-3"]).rstrip("\n"))
    process = await start("decide", str(path), "--target", mesh.target)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert stdout == b""
    ran = Ran(0, [], stderr.decode())
    assert ran.account == {"decided": 2, "duplicate": 1, "lines": 3}
    # The strictest outcome first; within it the most frequent.
    assert ran.summary == [
        ["BLOCK", "1"],
        ["NL", "TOR_EXIT", "1"],
        ["ALLOW", "2"],
        ["unknown", "none", "2"],
    ]
    assert mesh.ingest.tenants == {"dev"}


async def test_submit(mesh: Mesh) -> None:
    ran = await run("submit", mesh, events(["e-1", "duplicate-2"]))
    assert ran.status == 0
    assert ran.lines == [
        {"event_id": "e-1", "status": "accepted"},
        {"event_id": "duplicate-2", "status": "duplicate"},
    ]


async def test_every_bad_ending_is_told_and_is_status_1(mesh: Mesh) -> None:
    text = (
        event("e-1")
        + "\n\n"
        + "{broken\n"
        + event("failed-1")
        + "\n"
        + event("conflict-1")
        + "\n"
        + event("old-1")
        + "\n"
        + '{"event_id": "e-2", "timestamp": 5}\n'
        + event("e-3")
        + "\n"
    )
    ran = await run("decide", mesh, text)
    assert ran.status == 1
    assert ran.lines[0]["outcome"] == "ALLOW"
    assert (ran.lines[1]["line"], ran.lines[1]["status"], ran.lines[1]["reason"]) == (
        3,
        "refused",
        "MALFORMED_JSON",
    )
    assert ran.lines[2] == {
        "event_id": "failed-1",
        "status": "failed",
        "reason": "INVALID_EVENT",
        "message": "correct it",
        "failed_id": "failed_" + "0" * 32,
    }
    assert (ran.lines[3]["event_id"], ran.lines[3]["status"]) == ("conflict-1", "conflict")
    assert (ran.lines[4]["event_id"], ran.lines[4]["reason"]) == ("old-1", "TOO_OLD")
    violations = {(item["field"], item["reason"]) for item in ran.lines[5]["violations"]}
    assert ("timestamp", "WRONG_TYPE") in violations
    assert ("user_id", "MISSING") in violations
    assert ran.lines[6]["event_id"] == "e-3"
    assert len(ran.lines) == 7
    assert ran.account == {
        "decided": 2,
        "failed": 2,
        "conflict": 1,
        "refused": 2,
        "blank": 1,
        "lines": 8,
    }


async def test_full_and_away_are_sent_again_after_the_delay_asked_for(mesh: Mesh) -> None:
    answers: list[UsherError | None] = [
        ResourceExhausted("QUEUE_FULL", "come back", retry_after=0.3),
        Unavailable("DRAINING", "come back"),
    ]
    moments: list[float] = []

    def plan(_: list[event_pb2.Event]) -> UsherError | None:
        moments.append(asyncio.get_running_loop().time())
        return answers.pop(0) if answers else None

    mesh.ingest.plan = plan
    ran = await run("decide", mesh, events(["e-1", "e-2"]))
    assert ran.status == 0
    assert [line["event_id"] for line in ran.lines] == ["e-1", "e-2"]
    assert len(moments) == 3
    assert moments[1] - moments[0] >= 0.3


async def test_only_the_items_that_may_come_later_are_sent_again(mesh: Mesh) -> None:
    ran = await run("decide", mesh, events(["e-1", "busy-1", "e-2"]))
    assert ran.status == 0
    assert [line["event_id"] for line in ran.lines] == ["e-1", "busy-1", "e-2"]
    assert mesh.ingest.calls == [["e-1", "busy-1", "e-2"], ["busy-1"], ["busy-1"]]


async def test_a_refused_item_stays_refused_when_the_budget_ends(mesh: Mesh) -> None:
    ran = await run("decide", mesh, events(["e-1", "busy-1"]), "--retry-for", "0")
    assert ran.status == 1
    assert ran.lines[1] == {
        "event_id": "busy-1",
        "status": "refused",
        "reason": "RATE_LIMITED",
        "message": "",
    }


async def test_one_event_that_spoils_a_batch_is_found(mesh: Mesh) -> None:
    def plan(batch: list[event_pb2.Event]) -> UsherError | None:
        if any(item.event_id == "e-77" for item in batch):
            return InvalidArgument("MALFORMED_MESSAGE", "event is broken")
        return None

    mesh.ingest.plan = plan
    ids = [f"e-{number}" for number in range(200)]
    ran = await run("decide", mesh, events(ids))
    assert ran.status == 1
    assert [line["event_id"] for line in ran.lines] == ids
    bad = [line for line in ran.lines if "status" in line]
    assert bad == [
        {"event_id": "e-77", "status": "refused", "reason": "MALFORMED_MESSAGE", "message": "event is broken"}
    ]


async def test_a_mesh_that_is_away_is_status_2_and_every_line_unsent(short_tmp_path: Path) -> None:
    away = Mesh(FakeIngest(), f"unix:{short_tmp_path}/none.sock")
    ran = await run("decide", away, events([f"e-{n}" for n in range(600)]), "--retry-for", "0.5")
    assert ran.status == 2
    assert [(line["event_id"], line["status"], line["reason"]) for line in ran.lines] == [
        (f"e-{n}", "unsent", "UNAVAILABLE") for n in range(600)
    ]
    assert ran.account == {"unsent": 600, "lines": 600}


async def test_a_mesh_that_goes_away_on_the_way_is_status_1(mesh: Mesh) -> None:
    def plan(batch: list[event_pb2.Event]) -> UsherError | None:
        return None if batch[0].event_id == "e-0" else Unavailable("DRAINING", "gone")

    mesh.ingest.plan = plan
    ids = [f"e-{n}" for n in range(1000)]
    ran = await run("decide", mesh, events(ids), "--retry-for", "0.3")
    assert ran.status == 1
    assert [line["event_id"] for line in ran.lines] == ids
    assert ran.account["decided"] + ran.account["unsent"] == 1000
    assert ran.account["unsent"] >= 1000 - 256
    assert "DRAINING: gone" in ran.stderr


async def test_a_caller_that_is_not_let_in_is_status_2_at_once(mesh: Mesh) -> None:
    mesh.ingest.plan = lambda batch: Unauthenticated("KEY_UNKNOWN", "send a key")
    ran = await run("decide", mesh, events(["e-1"]))
    assert ran.status == 2
    assert ran.lines == [
        {"event_id": "e-1", "status": "unsent", "reason": "KEY_UNKNOWN", "message": "send a key"}
    ]
    assert len(mesh.ingest.calls) == 1


async def test_a_line_too_long_does_not_swallow_its_neighbours(mesh: Mesh) -> None:
    text = event("e-1").encode() + b"\n" + b"x" * 3_000_000 + b"\n" + event("e-2").encode() + b"\n"
    ran = await run("decide", mesh, text)
    assert ran.status == 1
    assert ran.lines[0]["event_id"] == "e-1"
    assert (ran.lines[1]["line"], ran.lines[1]["reason"]) == (2, "EVENT_TOO_LARGE")
    assert ran.lines[2]["event_id"] == "e-2"
    assert len(ran.lines) == 3


async def test_large_events_make_small_batches(mesh: Mesh) -> None:
    template = json.loads(event("x"))
    template["user_agent"] = "u" * 1000
    template["extra_metadata"] = {"padding": "p" * 15_000}
    ids = [f"e-{n}" for n in range(600)]
    text = "".join(json.dumps({**template, "event_id": event_id}) + "\n" for event_id in ids)
    ran = await run("decide", mesh, text)
    assert ran.status == 0, ran.stderr
    assert [line["event_id"] for line in ran.lines] == ids


async def test_a_slow_pipe_is_answered_as_it_comes(mesh: Mesh) -> None:
    process = await start("decide", "-", "--target", mesh.target, "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    for event_id in ("e-1", "e-2"):
        process.stdin.write(event(event_id).encode() + b"\n")
        await process.stdin.drain()
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert json.loads(line)["event_id"] == event_id
    process.send_signal(signal.SIGINT)
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"interrupted: nothing after line 2 was read" in stderr


async def test_no_such_file_and_no_such_target(mesh: Mesh, tmp_path: Path) -> None:
    process = await start("decide", str(tmp_path / "none"), "--target", mesh.target)
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert b"No such file" in stderr
    process = await start("decide", "-", "--target", "unix:relative.sock")
    _, stderr = await asyncio.wait_for(process.communicate(b""), 30)
    assert process.returncode == 2
    assert b"unix:/absolute/path" in stderr
