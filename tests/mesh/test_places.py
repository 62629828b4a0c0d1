"""Where an event was, from the address to the reason: the whole mesh with the data it ships.

Addresses and what they are: 92.230.0.0/16 Frankfurt and 50.180.0.0/14 Northlake near Chicago are ranges of consumer
networks (simulator/places.py), 2.56.10.36 is in the list of Tor exits, 77.243.189.0/24 in those of VPNs and data
centres, 5.255.72.0/24 of data centres only; 203.0.113.0/24 is for documentation (RFC 5737).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.places import read_manifest, version_of
from tests.harness import Front, Mesh
from tests.scenarios import event, now_ms, until
from usher.decision.v1 import decision_pb2

FRANKFURT, CHICAGO = "92.230.10.20", "50.180.10.20"
TOR_EXIT, VPN, HOSTING, DOCUMENTATION = "2.56.10.36", "77.243.189.10", "5.255.72.10", "203.0.113.10"
DATA = Path(__file__).resolve().parents[2] / "services" / "common" / "places_data"
MINUTE = 60_000


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("places")) as running:
        yield running


@pytest.fixture(scope="module")
def front(mesh: Mesh) -> Iterator[Front]:
    with mesh.ingest() as client:
        yield client


def decided(front: Front, *args: Any, **fields: Any) -> decision_pb2.Decision:
    [result] = front.decide([event(*args, **fields)])
    return result.decision


def reasons(decision: decision_pb2.Decision) -> dict[str, decision_pb2.Reason]:
    return {
        decision_pb2.ReasonCode.Name(reason.code).removeprefix("REASON_CODE_"): reason
        for reason in decision.reasons
    }


def test_a_tor_exit_is_a_reason(front: Front) -> None:
    decision = decided(front, "tor", "login", ip_address=TOR_EXIT, region="NL")
    assert reasons(decision)["TOR_EXIT"].points == 3.0
    # The parameters of the default set give a Tor exit three points of the place component.
    assert decision.numbers[decision_pb2.NUMBER_INDEX_PLACE_UNSPECIFIED] == 3.0


def test_vpn_and_hosting_are_told_apart(front: Front) -> None:
    vpn = reasons(decided(front, "vpn", "login", ip_address=VPN, region="DE"))
    hosting = reasons(decided(front, "hosting", "login", ip_address=HOSTING, region="NL"))
    assert "VPN" in vpn
    assert "HOSTING" not in vpn
    assert "HOSTING" in hosting
    # The exit of a VPN says nothing of where the viewer is.
    assert "REGION_MISMATCH" not in vpn


def test_another_country_than_the_claimed_one(front: Front) -> None:
    mismatch = reasons(decided(front, "elsewhere", ip_address=CHICAGO, region="DE"))["REGION_MISMATCH"]
    assert list(mismatch.words) == ["US", "DE"]
    assert "REGION_MISMATCH" not in reasons(decided(front, "at-home", ip_address=CHICAGO, region="US"))


def test_from_germany_to_the_united_states_in_half_an_hour(front: Front) -> None:
    now = now_ms()
    first = decided(front, "traveller", ip_address=FRANKFURT, region="DE", at_ms=now - 30 * MINUTE)
    second = decided(front, "traveller", "login", ip_address=CHICAGO, region="US", at_ms=now)
    assert "IMPOSSIBLE_TRAVEL" not in reasons(first)
    km, minutes, kmh, *both = reasons(second)["IMPOSSIBLE_TRAVEL"].values
    assert len(both) == 7
    assert list(reasons(second)["IMPOSSIBLE_TRAVEL"].words) == ["US", "DE"]
    # Frankfurt (50.1109, 8.6821) to Northlake (41.9173, -87.8956): 6,977 km by the spherical law of
    # cosines with 6,371 km, less 2 x 50 km.
    assert km == pytest.approx(6_877, abs=2)
    assert minutes == pytest.approx(30, abs=0.1)
    assert kmh == pytest.approx(km * 2, rel=0.01)


def test_the_same_way_in_two_days_is_a_journey(front: Front) -> None:
    now = now_ms()
    decided(front, "tourist", ip_address=FRANKFURT, region="DE", at_ms=now - 48 * 60 * MINUTE)
    assert "IMPOSSIBLE_TRAVEL" not in reasons(
        decided(front, "tourist", ip_address=CHICAGO, region="US", at_ms=now)
    )


def test_a_documentation_address_has_no_place(front: Front) -> None:
    now = now_ms()
    decided(front, "documented", ip_address=FRANKFURT, region="DE", at_ms=now - 30 * MINUTE)
    decision = decided(front, "documented", ip_address=DOCUMENTATION, region="DE", at_ms=now)
    assert not {"REGION_MISMATCH", "IMPOSSIBLE_TRAVEL", "NEW_COUNTRY"} & reasons(decision).keys()
    assert decision.numbers[decision_pb2.NUMBER_INDEX_PLACE_UNSPECIFIED] == 0.0
    assert not any(text.startswith("ip_address") for text in decision.verdict.assumptions)


def test_the_law_of_the_address_applies_unless_the_address_hides_the_viewer(front: Front) -> None:
    seen = decided(front, "law-1", ip_address=FRANKFURT, region="US").verdict
    hidden = decided(front, "law-2", ip_address=TOR_EXIT, region="US").verdict
    assert "ip_address country=DE -> user_location" in seen.assumptions
    assert "EU_GDPR" in seen.applicable
    assert not any(text.startswith("ip_address") for text in hidden.assumptions)
    assert "EU_GDPR" not in hidden.applicable


def test_a_decision_names_the_data_of_its_places(front: Front) -> None:
    assert decided(front, "data", ip_address=FRANKFURT).place_data == version_of(read_manifest(DATA))


def test_fraud_is_given_back_the_places_that_it_lost(tmp_path: Path) -> None:
    now = now_ms()
    with Mesh(tmp_path) as mesh, mesh.ingest() as front:
        decided(front, "restored", ip_address=FRANKFURT, region="DE", at_ms=now - 30 * MINUTE)
        mesh.kill("fraud")
        for snapshot in (tmp_path / "fraud0").rglob("*"):
            if snapshot.is_file():
                snapshot.unlink()
        mesh.start("fraud")
        # Its channel reconnects within a second or two; what it has not seen until then is carried to it.
        until(lambda: decided(front, "somebody").sighted, 15)
        decision = decided(front, "restored", "login", ip_address=CHICAGO, region="US", at_ms=now)
        assert decision.sighted
        assert "IMPOSSIBLE_TRAVEL" in reasons(decision)


def test_ingest_says_how_old_its_data_are(mesh: Mesh, front: Front) -> None:
    lines = [
        json.loads(line) for line in mesh.process("ingest").log.read_text().splitlines() if line[:1] == "{"
    ]
    told = [line for line in lines if line.get("kind") == "tor"]
    assert [line["date"] for line in told] == ["2026-10-06"]
    assert told[0]["stale"] == (told[0]["age_days"] >= 30)
