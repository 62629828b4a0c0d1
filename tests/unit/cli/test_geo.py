"""`usher geo`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

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
