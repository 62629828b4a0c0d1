"""`usher simulate`: the same bytes for the same options, labels beside them, times that a mesh takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.console import UnusableError
from cli.main import app
from cli.simulate import chosen, start_of
from services.common.event_json import parse_event

ROOT = Path(__file__).parents[3]
DAY_MS = 86_400_000
# 2026-11-22T15:30:00Z; the day began at 1,795,305,600,000.
NOW_MS = 1_795_361_400_000
TODAY_MS = 1_795_305_600_000
SMALL = ["simulate", "--users", "40", "--days", "1", "--start", "2026-11-16"]


def run(*arguments: str) -> tuple[int, bytes, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        env={"PYTHONPATH": str(ROOT / "proto"), "PATH": ""},
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr.decode()


def test_the_same_options_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = run(*SMALL, "--seed", "3", "--labels", str(tmp_path / "a"))
    second = run(*SMALL, "--seed", "3", "--labels", str(tmp_path / "b"))
    other = run(*SMALL, "--seed", "4")
    assert first[0] == second[0] == other[0] == 0
    assert first[1] == second[1]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert first[1] != other[1]


def test_events_parse_in_order_of_time_and_each_has_its_label(tmp_path: Path) -> None:
    status, out, told = run(*SMALL, "--labels", str(tmp_path / "labels"))
    assert status == 0
    events = [parse_event(line) for line in out.splitlines()]
    labels = [json.loads(line) for line in (tmp_path / "labels").read_text().splitlines()]
    assert not any(event.HasField("unmapped") for event in events)
    times = [event.event_time.ToMilliseconds() for event in events]
    assert times == sorted(times)
    # 2026-11-16T00:00:00Z and a day.
    assert min(times) >= 1_794_787_200_000
    assert max(times) < 1_794_787_200_000 + DAY_MS
    assert [label["event_id"] for label in labels] == [event.event_id for event in events]
    assert set(labels[0]) == {"event_id", "scenario", "abusive", "compliance"}
    assert any(label["scenario"] == "takeover" and label["abusive"] for label in labels)
    assert f"{len(events):,} events" in told
    # Labels stand in their file alone.
    assert b"takeover" not in out
    assert b"abusive" not in out


def test_scenarios_are_chosen(tmp_path: Path) -> None:
    status, _, told = run(*SMALL, "--scenarios", "vpn, takeover", "--labels", str(tmp_path / "labels"))
    labels = [json.loads(line) for line in (tmp_path / "labels").read_text().splitlines()]
    assert status == 0
    assert {label["scenario"] for label in labels} == {"", "vpn", "takeover"}
    assert "takeover" in told
    status, _, told = run(*SMALL, "--scenarios", "none")
    assert status == 0
    assert "of scenarios: none" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenarios", "burglary"], "burglary"),
        (["--scenarios", ","], "--scenarios is all, none"),
        (["--days", "0"], "days must be above 0"),
        (["--days", "inf"], "days must be above 0"),
        (["--users", "3"], "users or more"),
        (["--users", "40", "--rate", "1000"], "cannot make"),
        (["--users", "40", "--start", "yesterday"], "--start 'yesterday' is neither a date"),
        (["--users", "40", "--start", "2026-02-30"], "neither a date"),
        (["--users", "40", "--start", "1969-12-31"], "1970 to 2099"),
        (["--users", "40", "--labels", "/nowhere/labels"], "cannot write /nowhere/labels"),
    ],
)
def test_what_makes_no_traffic_is_status_2_and_says_why(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["simulate", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        (None, 1, TODAY_MS - DAY_MS),
        (None, 0.1, TODAY_MS - DAY_MS),
        (None, 1.5, TODAY_MS - 2 * DAY_MS),
        ("2026-11-22", 1, TODAY_MS),
        ("2026-11-22T01:00:00+01:00", 1, TODAY_MS),
        ("2026-11-22T00:00:00.25Z", 1, TODAY_MS + 250),
    ],
)
def test_start(text: str | None, days: float, expected: int) -> None:
    assert start_of(text, days, NOW_MS) == expected


def test_names_of_scenarios() -> None:
    assert chosen("all") is None
    assert chosen("none") == []
    assert chosen("vpn,travel") == ["vpn", "travel"]
    with pytest.raises(UnusableError):
        chosen("")
