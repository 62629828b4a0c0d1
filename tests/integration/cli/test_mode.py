"""`usher mode` as a process: show, the kill switch, one class, who did it."""

from __future__ import annotations

import json

from tests.integration.cli.fake_ingest import Mesh, run_plain
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

CLASSES = ["unknown", "playback", "logout", "login", "export", "payment", "credential", "rights"]


async def test_it_shows_every_class(mesh: Mesh) -> None:
    status, out, _ = await run_plain("mode", "--target", mesh.target, "--tenant", "acme")
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [[name, "enforce", "default"] for name in CLASSES]
    assert mesh.ingest.tenants == {"acme"}
    assert mesh.ingest.modes == {}


async def test_observe_is_the_kill_switch(mesh: Mesh) -> None:
    status, out, told = await run_plain("mode", "observe", "--target", mesh.target, "--actor", "ann")
    assert status == 0
    assert {one.mode for one in mesh.ingest.modes.values()} == {decision_pb2.MODE_OBSERVE}
    assert len(mesh.ingest.modes) == len(CLASSES)
    assert {one.actor for one in mesh.ingest.modes.values()} == {"ann"}
    assert "dev: all classes observe from now on, everywhere within 5 s; set by ann" in told
    assert out.splitlines()[1].split() == ["playback", "observe", "ann,", "2026-11-22T12:00:00Z"]


async def test_some_classes(mesh: Mesh) -> None:
    status, out, told = await run_plain(
        "mode",
        "observe",
        "--class",
        "payment",
        "--class",
        "export",
        "--actor",
        "ann",
        "--json",
        "--target",
        mesh.target,
    )
    assert status == 0
    assert set(mesh.ingest.modes) == {event_pb2.EVENT_CLASS_PAYMENT, event_pb2.EVENT_CLASS_EXPORT}
    assert "payment, export observe" in told
    shown = json.loads(out)
    assert shown["tenant"] == "dev"
    assert {one["event_class"]: one["mode"] for one in shown["classes"]} == {
        name: "observe" if name in ("payment", "export") else "enforce" for name in CLASSES
    }
    assert [one["set_at"] for one in shown["classes"] if one["actor"]] == ["2026-11-22T12:00:00Z"] * 2


async def test_wrong_usage_changes_nothing(mesh: Mesh) -> None:
    for arguments in (["off"], ["observe", "--class", "poker"], ["--class", "export"]):
        status, out, told = await run_plain("mode", *arguments, "--target", mesh.target)
        assert (status, out) == (2, "")
        assert told.startswith("usher: ")
    assert mesh.ingest.modes == {}


async def test_a_mesh_that_is_away(short_tmp_path) -> None:
    status, out, told = await run_plain("mode", "observe", "--target", f"unix:{short_tmp_path}/none.sock")
    assert (status, out) == (2, "")
    assert "UNAVAILABLE" in told
    assert "from now on" not in told
