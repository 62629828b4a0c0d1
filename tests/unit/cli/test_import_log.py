"""Access logs into events: the mapping of docs/cli.md, worked out by hand on tests/data/access.log."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.console import UnusableError
from cli.import_log import LineError, parse_line, parse_log_time, parse_target_time, whole_days
from cli.main import app

LOG = Path(__file__).parents[2] / "data" / "access.log"
UTC = datetime.UTC


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["import-log", *arguments], input=stdin)


def events_of(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def events() -> list[dict]:
    return events_of(run(str(LOG)))


def test_event_types_and_error_codes(events: list[dict]) -> None:
    assert [(event["event_type"], event.get("error_code")) for event in events] == [
        ("play", None),
        ("play", None),
        ("heartbeat", None),
        ("login", None),
        ("login_failed", "http_401"),
        ("logout", None),
        ("error", "http_404"),
        ("error", "http_400"),
        ("download", None),
        ("access", None),
    ]


def test_times_are_utc(events: list[dict]) -> None:
    # 09:00:00 +0100 is 08:00 UTC; 23:59:59 on 28 February at -0230 is 02:29:59 on 1 March UTC.
    assert events[0]["timestamp"] == "2026-03-01T08:00:00Z"
    assert events[3]["timestamp"] == "2026-03-01T02:29:59Z"


def test_first_line_whole(events: list[dict]) -> None:
    import_id = "log-" + hashlib.sha256(LOG.read_bytes()).hexdigest()[:16]
    first = dict(events[0])
    user_id, device_id = first.pop("user_id"), first.pop("device_id")
    assert user_id.startswith("viewer_")
    assert device_id.startswith("device_")
    assert first == {
        "event_id": f"{import_id}-1",
        "event_type": "play",
        "timestamp": "2026-03-01T08:00:00Z",
        "region": "ZZ",
        "ip_address": "203.0.113.7",
        "origin": "import",
        "import_id": import_id,
        "content_id": "/films/42/trailer.mp4",
        "data_volume_bytes": 1048576,
        "user_agent": 'Player/3.1 (SmartTV; "Living Room")',
        "extra_metadata": {
            "status": 206,
            "method": "GET",
            "path": "/films/42/trailer.mp4",
            "referrer": "https://tv.example/films/42",
        },
    }


def test_ids_number_the_lines_of_the_file_and_not_the_events(events: list[dict]) -> None:
    result = run("-", stdin=b"nonsense\n" + LOG.read_bytes().splitlines(keepends=True)[0])
    assert events_of(result)[0]["event_id"].endswith("-2")
    assert result.exit_code == 1


def test_viewer_is_the_address_or_the_signed_in_user(events: list[dict]) -> None:
    anna, failed, anna_again = events[3], events[4], events[5]
    assert anna["user_id"] == anna_again["user_id"]
    assert anna["user_id"] != failed["user_id"]
    # One address and user agent is one device, signed in or not; another user agent is another.
    assert anna["device_id"] == failed["device_id"]
    assert events[0]["user_id"] == events[1]["user_id"]
    assert events[0]["device_id"] != events[1]["device_id"]
    # IPv4 as a dual-stack server writes it is the same address.
    assert events[7]["ip_address"] == "192.0.2.1"
    assert events[7]["user_id"] == events[8]["user_id"]


def test_what_the_log_does_not_tell_is_absent(events: list[dict]) -> None:
    assert "data_volume_bytes" not in events[3]
    assert "user_agent" not in events[6]
    assert events[7]["extra_metadata"] == {"status": 400, "request": "\\x16\\x03\\x01"}
    assert events[1]["content_id"] == "/live/one/master.m3u8"
    assert events[1]["extra_metadata"]["path"] == "/live/one/master.m3u8?token=abc"


def test_unreadable_lines_are_told_counted_and_fail_the_command() -> None:
    result = run(str(LOG))
    assert result.exit_code == 1
    assert "line 12: is neither common nor combined log format" in result.stderr
    assert "line 13: does not begin with an IP address" in result.stderr
    assert "line 14: has a time that no calendar has" in result.stderr
    assert "14 lines, 10 events, 3 unreadable, 1 blank" in result.stderr


def test_the_same_from_stdin(events: list[dict]) -> None:
    assert events_of(run("-", stdin=LOG.read_bytes())) == events


def test_shift_moves_all_by_whole_days() -> None:
    # The newest event is at 08:00:06 UTC on 1 March. To be at or before 07:00 on 11 March it moves by 9 days.
    result = run(str(LOG), "--shift-to", "2026-03-11T07:00:00Z")
    times = [event["timestamp"] for event in events_of(result)]
    assert times[2] == "2026-03-10T08:00:06Z"
    assert times[3] == "2026-03-10T02:29:59Z"
    assert "moved by 9 days" in result.stderr


def test_shift_goes_back_as_well() -> None:
    result = run(str(LOG), "--shift-to", "2026-02-20")
    assert events_of(result)[2]["timestamp"] == "2026-02-19T08:00:06Z"


@pytest.mark.parametrize(
    ("newest", "target", "days"),
    [
        ("2026-03-01T08:00:00", "2026-03-01T08:00:00", 0),
        ("2026-03-01T08:00:00", "2026-03-01T07:59:59", -1),
        ("2026-03-01T08:00:00", "2026-03-02T07:59:59", 0),
        ("2026-03-01T08:00:00", "2026-03-02T08:00:00", 1),
    ],
)
def test_whole_days(newest: str, target: str, days: int) -> None:
    moved = whole_days(datetime.datetime.fromisoformat(newest), datetime.datetime.fromisoformat(target))
    assert moved == datetime.timedelta(days=days)


def test_target_times() -> None:
    now = datetime.datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
    assert parse_target_time("now", now) == now
    assert parse_target_time("Today", now) == now
    assert parse_target_time("2026-11-01", now) == datetime.datetime(2026, 11, 1, tzinfo=UTC)
    assert parse_target_time("2026-11-01T01:00:00+02:00", now) == datetime.datetime(
        2026, 10, 31, 23, tzinfo=UTC
    )
    for text in ("yesterday", "2026-11-01T01:00:00", "2026-02-30"):
        with pytest.raises(UnusableError, match="--shift-to"):
            parse_target_time(text, now)


@pytest.mark.parametrize(
    "text",
    [
        "17/May/2015 10:05:03 +0000",
        "17/Mai/2015:10:05:03 +0000",
        "17/May/2015:24:05:03 +0000",
        "01/Jan/0001:00:00:00 +1400",
    ],
)
def test_bad_times(text: str) -> None:
    with pytest.raises(LineError):
        parse_log_time(text)


def test_escapes() -> None:
    line = r'192.0.2.1 - - [01/Mar/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "x\x22y\x5cz\x0a \"q\" \\ \xc3\xa9"'
    assert parse_line(line).agent == 'x"y\\z\\x0a "q" \\ \\xc3\\xa9'


def test_a_line_beyond_the_limit_does_not_swallow_the_next() -> None:
    good = LOG.read_bytes().splitlines(keepends=True)[0]
    result = run("-", stdin=b"a" * 200_000 + b"\n" + good)
    assert "line 1: is longer than" in result.stderr
    assert [event["event_id"][-2:] for event in events_of(result)] == ["-2"]


def test_a_long_user_agent_is_cut_and_says_so() -> None:
    line = f'192.0.2.1 - - [01/Mar/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "{"u" * 3000}"\n'
    (event,) = events_of(run("-", stdin=line.encode()))
    assert len(event["user_agent"]) == 1024
    assert event["extra_metadata"]["user_agent_cut_from"] == 3000


def test_a_missing_file_cannot_run() -> None:
    result = run("/nonexistent/access.log")
    assert result.exit_code == 2
    assert "cannot read /nonexistent/access.log: No such file" in result.stderr


def test_every_event_is_an_event_to_the_mesh(events: list[dict]) -> None:
    from services.common.event_json import event_from_json

    for event in events:
        mapped = event_from_json(event)
        assert [f"{v.field} {v.reason}" for v in mapped.unmapped.violations] == []
        assert mapped.unknown_json == b""


def test_the_real_log(test_data: Callable[..., Path]) -> None:
    result = run(str(test_data("logs/apache_17-18may.log", "a real access log")))
    assert result.exit_code == 0, result.stderr
    events = events_of(result)
    # wc -l of the file; its own counts by status, from the fifth field after the request.
    assert len(events) == 4525
    assert len({event["event_id"] for event in events}) == 4525
    kinds = [event["event_type"] for event in events]
    assert kinds.count("login_failed") == 1
    assert kinds.count("error") == 93 + 2
