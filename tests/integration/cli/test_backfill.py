"""`usher backfill` as a process: origin and import id of every event, resuming, the account."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from services.common.errors import Unavailable
from tests.integration.cli.fake_ingest import Mesh, event, events, run, run_plain
from usher.event.v1 import event_pb2


async def test_every_event_becomes_part_of_one_import(mesh: Mesh) -> None:
    live = json.loads(event("e-2")) | {"origin": "live", "import_id": "elsewhere"}
    text = event("e-1") + "\n" + json.dumps(live) + "\n"
    ran = await run("backfill", mesh, text, "--tenant", "acme")
    assert ran.status == 0
    assert [line["event_id"] for line in ran.lines] == ["e-1", "e-2"]
    name = f"backfill-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    assert {(one.origin, one.import_id) for one in mesh.ingest.events} == {(event_pb2.ORIGIN_IMPORT, name)}
    assert mesh.ingest.tenants == {"acme"}
    assert f"import {name}" in ran.stderr
    assert ran.account["decided"] == 2


async def test_an_import_id_of_ones_own(mesh: Mesh, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(events(["e-1", "e-2"]))
    status, out, _ = await run_plain(
        "backfill", str(path), "--target", mesh.target, "--import-id", "year-2025"
    )
    assert (status, out) == (0, "")
    assert {one.import_id for one in mesh.ingest.events} == {"year-2025"}
    status, _, told = await run_plain(
        "backfill", str(path), "--target", mesh.target, "--import-id", "year 2025"
    )
    assert status == 2
    assert "--import-id" in told
    assert len(mesh.ingest.events) == 2


async def test_it_resumes_where_it_ended(mesh: Mesh) -> None:
    mesh.ingest.remembers = True
    text = events([f"e-{number}" for number in range(600)])
    mesh.ingest.plan = lambda batch: Unavailable("DRAINING", "gone") if batch[0].event_id != "e-0" else None
    first = await run("backfill", mesh, text, "--retry-for", "0.2")
    assert first.status == 1
    assert "run it again to resume import" in first.stderr
    done = first.account["decided"]
    assert done + first.account["unsent"] == 600
    mesh.ingest.plan = lambda batch: None
    second = await run("backfill", mesh, text)
    assert second.status == 0
    assert second.account["duplicate"] == done
    assert second.account["decided"] == 600 - done
    # The same content both times: the same id, or the mesh would see a conflict.
    assert len({one.import_id for one in mesh.ingest.events}) == 1


async def test_the_order_of_the_input_holds(mesh: Mesh) -> None:
    refusals = iter([Unavailable("DRAINING", "come back"), None, Unavailable("DRAINING", "come back")])
    mesh.ingest.plan = lambda batch: next(refusals, None)
    ids = [f"e-{number}" for number in range(1000)]
    ran = await run("backfill", mesh, events(ids))
    assert ran.status == 0
    assert mesh.ingest.most_in_flight == 1
    first_seen = list(dict.fromkeys(event_id for call in mesh.ingest.calls for event_id in call))
    assert first_seen == ids


async def test_a_line_that_is_no_event_is_told(mesh: Mesh) -> None:
    ran = await run("backfill", mesh, event("e-1") + "\n{broken\n")
    assert ran.status == 1
    assert ran.lines[1]["reason"] == "MALFORMED_JSON"


async def test_no_such_file(mesh: Mesh, tmp_path: Path) -> None:
    status, _, told = await run_plain("backfill", str(tmp_path / "none"), "--target", mesh.target)
    assert status == 2
    assert "No such file" in told
