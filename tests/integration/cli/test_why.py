"""`usher why` as a process: three readers, JSON, what is not there, text of others on a terminal."""

from __future__ import annotations

import json

from tests.integration.cli.fake_ingest import Mesh, run_plain
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2


def keep(mesh: Mesh, event_type: str = "login") -> None:
    mesh.ingest.decisions["e1"] = ingest_pb2.GetDecisionResponse(
        decision=decision_pb2.Decision(
            event_id="e1",
            outcome=decision_pb2.OUTCOME_BLOCK,
            would_be=decision_pb2.OUTCOME_BLOCK,
            mode=decision_pb2.MODE_ENFORCE,
            event_class=event_pb2.EVENT_CLASS_LOGIN,
            reasons=[
                {"code": decision_pb2.REASON_CODE_UNKNOWN_EVENT_TYPE, "words": [event_type]},
                {"code": decision_pb2.REASON_CODE_SHARED_DEVICE, "values": [7], "points": 1.5},
            ],
            verdict={"status": decision_pb2.COMPLIANCE_STATUS_COMPLIANT, "applicable": ["EU_GDPR"]},
        ),
        event=event_pb2.Event(event_id="e1", event_type=event_type),
    )


async def test_all_three_readers(mesh: Mesh) -> None:
    keep(mesh)
    status, out, _ = await run_plain("why", "e1", "--target", mesh.target, "--tenant", "acme")
    assert status == 0
    viewer, analyst, regulator = (
        out.index(title) for title in ("For the viewer\n", "For an analyst\n", "For a regulator\n")
    )
    assert viewer < analyst < regulator
    assert "7 accounts use this device." not in out[viewer:analyst]
    assert "7 accounts use this device." in out[analyst:regulator]
    assert "GDPR (EU_GDPR)" in out[regulator:]
    assert mesh.ingest.tenants == {"acme"}


async def test_one_reader_has_no_title_and_json_is_by_reader(mesh: Mesh) -> None:
    keep(mesh)
    status, out, _ = await run_plain("why", "e1", "--for", "viewer", "--target", mesh.target)
    assert status == 0
    assert out.startswith("At an unknown time, the sign-in: not allowed.\n")
    assert "For the viewer" not in out
    status, out, _ = await run_plain(
        "why", "e1", "--for", "viewer", "--for", "regulator", "--json", "--target", mesh.target
    )
    shown = json.loads(out)
    assert list(shown) == ["viewer", "regulator"]
    assert shown["regulator"]["is_compliant"] is True


async def test_an_event_without_decision_is_status_1(mesh: Mesh) -> None:
    status, out, told = await run_plain("why", "e\x1b[2J9", "--target", mesh.target)
    assert (status, out) == (1, "")
    assert "DECISION_UNKNOWN" in told
    assert "\x1b" not in told


async def test_text_of_others_cannot_steer_the_terminal(mesh: Mesh) -> None:
    keep(mesh, "\x1b]0;pwned\x07\x1b[2Jplay\r\n")
    status, out, _ = await run_plain("why", "e1", "--target", mesh.target)
    assert status == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\r" not in out


async def test_an_unknown_reader_and_a_mesh_that_is_away_are_status_2(mesh: Mesh, short_tmp_path) -> None:
    status, _, told = await run_plain("why", "e1", "--for", "mother", "--target", mesh.target)
    assert status == 2
    assert "mother" in told
    status, _, told = await run_plain("why", "e1", "--target", f"unix:{short_tmp_path}/none.sock")
    assert status == 2
    assert "UNAVAILABLE" in told
