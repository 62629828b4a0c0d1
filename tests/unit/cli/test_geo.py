"""`usher geo`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.geo import show
from cli.main import app
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2

RUN = CliRunner()


def test_one_address_for_people() -> None:
    result = RUN.invoke(app, ["geo", "92.230.10.20"])
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line)
    assert lines["country"]
    assert "Frankfurt am Main" in result.stdout
    assert "IP Geolocation by DB-IP (https://db-ip.com)" in result.stdout
    assert "2026-10-06" in result.stdout, "the age of each file is told"


def test_one_address_as_json() -> None:
    result = RUN.invoke(app, ["geo", "2.56.10.36", "--json"])
    told = json.loads(result.stdout)
    assert (told["country"], told["flags"]) == ("NL", ["tor"])
    assert told["latitude"] is None
    assert {"text": "IP Geolocation by DB-IP", "url": "https://db-ip.com"} in told["attribution"]
    assert {item["kind"] for item in told["data"]} >= {"country", "city", "network", "tor"}
    [tor] = [item for item in told["data"] if item["kind"] == "tor"]
    assert tor["stale"] is True, "the list of October 2026 was older than 30 days on the day it was shipped"


def test_a_documentation_address_has_no_place() -> None:
    told = json.loads(RUN.invoke(app, ["geo", "203.0.113.10", "--json"]).stdout)
    assert told["flags"] == ["special"]
    assert [told[name] for name in ("country", "city", "latitude", "accuracy_km", "asn")] == [None] * 5


@pytest.mark.parametrize("text", ["nowhere", "1.2.3", "1.2.3.4.5", "1.2.3.4/8", "fe80::1%eth0", ""])
def test_what_is_no_address_ends_with_2(text: str) -> None:
    result = RUN.invoke(app, ["geo", text])
    assert result.exit_code == 2
    assert "is no IP address" in result.stderr
    assert result.stdout == ""


def test_unusable_data_end_with_2(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["geo", "8.8.8.8", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "places.json cannot be read" in result.stderr


def seen(address: str, flags: int) -> fraud_pb2.DescribeAddressResponse:
    assert (address, flags) == ("2.56.10.36", 1 << event_pb2.PLACE_FLAG_TOR)
    answer = fraud_pb2.DescribeAddressResponse(
        address_class=fraud_pb2.ADDRESS_CLASS_TOR, accounts=12, devices=9, regulars=0.25, churn=0.5
    )
    answer.reasons.add(code="tor")
    answer.reasons.add(code="failed_sign_ins", count=40, age_hours=2.5)
    return answer


def test_what_a_mesh_has_learnt_is_told_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    show("2.56.10.36", None, False, seen)
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line]
    told = [(name, text) for name, text in lines if name in ("class", "seen", "against")]
    assert told == [
        ("class", "a Tor exit"),
        ("seen", "12 accounts with 9 devices within 37 days; 25% on three days or more, 50% on one"),
        ("against", "tor, by network data"),
        ("against", "40 failed sign ins, last 2.5 hours ago"),
    ]
    show("2.56.10.36", None, True, seen)
    learnt = json.loads(capsys.readouterr().out)["learnt"]
    assert learnt["class"] == "tor"
    assert learnt["reputation"][1] == {"code": "failed_sign_ins", "count": 40, "age_hours": 2.5}


def test_without_a_mesh_nothing_is_said_of_what_was_seen(tmp_path: Path) -> None:
    told = RUN.invoke(app, ["geo", "92.230.10.20", "--json", "--home", str(tmp_path)])
    assert json.loads(told.stdout)["learnt"] is None
