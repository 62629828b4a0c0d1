"""Ingest looks addresses up once and tells every service that it asks: with what is folded or restored later, too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from services.common.errors import FailedPrecondition
from services.common.places import MANIFEST, SHIPPED
from tests.fakes import FakeMesh, event, running_ingest, tiny_places
from usher.event.v1 import event_pb2

# In the shipped data: Frankfurt, a Tor exit in the Netherlands; 203.0.113.0/24 is for documentation (RFC 5737).
HOME, TOR_EXIT, NOWHERE = "92.230.10.20", "2.56.10.36", "203.0.113.10"
DE, NL = 0x4445, 0x4E4C
TOR, SPECIAL = 1 << event_pb2.PLACE_FLAG_TOR, 1 << event_pb2.PLACE_FLAG_SPECIAL


async def test_every_service_gets_the_same_columns(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh, places_dir=SHIPPED) as front:
        results = await front.decide(
            [
                event("e1", "u1", ip_address=HOME),
                event("e2", "u2", ip_address=TOR_EXIT),
                event("e3", "u3", ip_address=NOWHERE),
            ]
        )
    [asked] = mesh.compliance.requests
    [assessed] = mesh.fraud.requests
    [decided] = mesh.scoring.requests
    assert asked.places == assessed.places == decided.places
    places = decided.places
    assert list(places.country) == [DE, NL, 0]
    assert list(places.flags) == [0, TOR, SPECIAL]
    assert [accuracy > 0 for accuracy in places.accuracy_km] == [True, False, False]
    # Frankfurt am Main lies at 50.11 N, 8.68 E.
    assert abs(places.latitude_e4[0] - 501_100) < 1_000
    assert abs(places.longitude_e4[0] - 86_800) < 1_000
    assert {len(column) for _, column in places.ListFields()} == {3}
    assert {result.decision.place_data for result in results} == {results[0].decision.place_data}
    assert results[0].decision.place_data.startswith("pd_")
    told = [(result.decision.country, result.decision.place_flags) for result in results]
    assert told == [("DE", 0), ("NL", TOR), ("", SPECIAL)]
    assert [result.decision.asn for result in results] == list(places.asn)


async def test_the_inbox_looks_addresses_up_as_well(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh, places_dir=SHIPPED) as front:
        await front.submit([event("e1", "u1", ip_address=HOME)])
        [result] = await front.decide([event("e1", "u1", ip_address=HOME)])
        assert result.event_id == "e1"
    assert list(mesh.scoring.requests[-1].places.country) == [DE]


async def test_what_is_folded_later_has_its_places(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh, places_dir=SHIPPED, breaker_seconds=0.01) as front:
        mesh.scoring.away()
        await front.decide([event("e1", "u1", ip_address=HOME)])
        mesh.scoring.back()
        await front.decide([event("e2", "u1", ip_address=TOR_EXIT)])
    fold_only = 1 << event_pb2.ITEM_FLAG_FOLD_ONLY
    folding = [request for request in mesh.scoring.requests if list(request.item_flags) == [fold_only]]
    assert [list(request.places.country) for request in folding] == [[DE]]
    assert list(mesh.scoring.requests[-1].places.country) == [NL]


async def test_what_fraud_is_given_back_has_its_places(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh, places_dir=SHIPPED) as front:
        await front.decide([event("e1", "u1", ip_address=HOME)])
        mesh.fraud.lose()
        await front.decide([event("e2", "u1", ip_address=TOR_EXIT)])
    given = [request for request in mesh.fraud.restores if request.events]
    assert [list(request.places.country) for request in given] == [[DE]]
    assert [list(request.places.flags) for request in given] == [[0]]


def _tor(folder: Path, *addresses: str, checksum: str | None = None) -> Path:
    """Places data that know some Tor exits and nothing else."""
    tiny_places(folder)
    content = "".join(f"{address}\n" for address in addresses).encode()
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][0]["sha256"] = checksum or hashlib.sha256(content).hexdigest()
    (folder / "tor.txt").write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


async def test_changed_files_are_put_in_force_without_a_restart(
    mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    folder = _tor(tmp_path / "places", "9.9.9.9")
    async with running_ingest(sqlite_url, mesh, places_dir=folder) as front:
        held = front.app._places
        [before] = await front.decide([event("e1", "u1", ip_address="9.8.8.8")])
        assert not await held.reload_if_changed()

        _tor(folder, "9.8.8.8", checksum="0" * 64)
        assert not await held.reload_if_changed()
        [meanwhile] = await front.decide([event("e2", "u1", ip_address="9.8.8.8")])

        _tor(folder, "9.8.8.8")
        assert await held.reload_if_changed()
        [after] = await front.decide([event("e3", "u1", ip_address="9.8.8.8")])
        _tor(folder, "9.7.7.7")
        assert await held.reload_if_changed()
        told = generate_latest(held._telemetry.registry).decode()
    assert before.decision.place_flags == meanwhile.decision.place_flags == 0
    assert after.decision.place_flags == TOR
    assert before.decision.place_data == meanwhile.decision.place_data != after.decision.place_data
    assert 'usher_place_data_reloads_total{result="refused"} 1.0' in told
    assert 'usher_place_data_reloads_total{result="done"} 2.0' in told


async def test_a_corrupt_file_keeps_ingest_from_starting_or_is_left_out(
    mesh: FakeMesh, sqlite_url: str, tmp_path: Path
) -> None:
    folder = _tor(tmp_path / "places", "9.9.9.9", checksum="0" * 64)
    with pytest.raises(FailedPrecondition, match="checksum"):
        async with running_ingest(sqlite_url, mesh, places_dir=folder):
            pass
    async with running_ingest(sqlite_url, mesh, places_dir=folder, places_on_error="leave_out") as front:
        [result] = await front.decide([event("e1", "u1", ip_address="9.9.9.9")])
        told = generate_latest(front.app._places._telemetry.registry).decode()
    assert result.decision.place_flags == 0
    assert 'usher_place_data_left_out{kind="tor"} 1.0' in told
