"""`usher up` with the real mesh: ready, used, crashed, drained, killed; nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.home import run_directory

ROOT = Path(__file__).parents[3]
LOG = ROOT / "tests" / "data" / "access.log"
START_SECONDS = 90


class Up:
    """A running `usher up`."""

    def __init__(self, home: Path, errors: Path, *options: str, **variables: str) -> None:
        self.home = home
        self.errors = errors
        with open(errors, "wb") as stderr:
            self.process = subprocess.Popen(
                command("up", "--home", str(home), "--port", "0", *options),
                cwd=ROOT,
                env={**environment(), **variables},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.addresses: dict[str, str] = {}

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if line == "ready\n":
                    return
                name, address = line.split()
                self.addresses[name] = address
        finally:
            watchdog.cancel()
        pytest.fail(f"not ready:\n{self.errors.read_text()}")

    def children(self) -> dict[str, int]:
        """Process ids by module, from /proc."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = status.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    arguments = status.with_name("cmdline").read_bytes().split(b"\0")
                    # One that is ending has no arguments any more.
                    if len(arguments) > 1:
                        found[arguments[-2].decode()] = int(status.parent.name)
        return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
    return {**kept, "PYTHONPATH": str(ROOT / "proto"), "COLUMNS": "200"}


def usher(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=environment(),
        check=False,
        timeout=90,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    own = tmp_path / "packs"
    own.mkdir()
    (own / "XX_LAW.yaml").write_text(OWN_PACK)
    followed = tmp_path / "events.jsonl"
    followed.touch()
    up = Up(
        tmp_path / "home",
        tmp_path / "stderr",
        "--source",
        f"file {followed} --follow --name player",
        USHER_PACKS_DIR=str(own),
    )
    try:
        up.wait_ready()
        yield up
    finally:
        up.process.kill()
        up.process.wait()
        assert up.process.stdout is not None
        up.process.stdout.close()


OWN_PACK = """id: XX_LAW
short_name: House rules
name: Rules of the house
version: "1"
jurisdictions: [MX]
scope: {article: s.1, by: [residence]}
rules:
  - {id: no_ads, article: s.2, reason: PURPOSE_LIMITATION, summary: No ads., severity: 2, remedy: stop_processing,
     condition: purpose == "targeted_advertising", affects: purposes, verification: verified}
"""

OWN_EVENT = {
    "event_id": "own-1",
    "user_id": "u",
    "device_id": "d",
    "event_type": "play",
    "region": "MX",
    "ip_address": "192.0.2.1",
    "privacy": {"purpose": "targeted_advertising"},
}

MODULES = {
    "services.compliance",
    "services.scoring",
    "services.fraud",
    "services.alerts",
    "services.ingest",
    "services.ingest.sources",
    "gateway",
}


@pytest.mark.timeout(300)
def test_a_life_of_the_mesh(up: Up) -> None:
    with urllib.request.urlopen(up.addresses["http"] + "/healthz", timeout=10) as answer:
        assert answer.status == 200
    children = up.children()
    assert children.keys() == MODULES

    second = usher("up", "--home", str(up.home), "--port", "0")
    assert second.returncode == 2
    assert f"process {up.process.pid}".encode() in second.stderr

    imported = usher("import-log", str(LOG), "--shift-to", "now")
    decided = usher("decide", "-", "--home", str(up.home), "--json", stdin=imported.stdout)
    lines = [json.loads(line) for line in decided.stdout.splitlines()]
    sent = [json.loads(line)["event_id"] for line in imported.stdout.splitlines()]
    assert decided.returncode == 0, decided.stderr.decode()
    assert [line["event_id"] for line in lines] == sent
    assert all(line["outcome"] for line in lines)
    again = usher("decide", "-", "--home", str(up.home), "--json", stdin=imported.stdout)
    assert again.stdout == decided.stdout
    assert again.stderr.split()[:2] == [b"duplicate", b"10"]

    now = datetime.now(UTC).isoformat()
    [own] = usher(
        "decide",
        "-",
        "--home",
        str(up.home),
        "--json",
        stdin=json.dumps({**OWN_EVENT, "timestamp": now}).encode(),
    ).stdout.splitlines()
    assert [finding["rule"] for finding in json.loads(own)["findings"]] == ["XX_LAW.no_ads"]

    with (up.home.parent / "events.jsonl").open("a") as followed:
        followed.write(json.dumps({**OWN_EVENT, "event_id": "own-2", "timestamp": now}) + "\n")

    def told() -> dict[str, Any]:
        [line] = usher("sources", "--json", "--home", str(up.home)).stdout.splitlines()
        return dict(json.loads(line))

    wait_for(lambda: (told()["accepted"], told()["lag_records"]) == (1, 0))
    assert (told()["source"], told()["kind"]) == ("player", "file")

    os.kill(children["services.scoring"], signal.SIGKILL)
    wait_for(
        lambda: (
            up.children().get("services.scoring", children["services.scoring"])
            != children["services.scoring"]
        )
    )
    wait_for(lambda: up.errors.read_text().count("scoring: ready") == 2)

    directory = run_directory(up.home)
    assert directory.exists()
    last = up.children()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0
    assert not any(is_alive(pid) for pid in last.values())
    assert not directory.exists()
    assert not (up.home / "run").exists()
    stopping = [
        line for line in up.errors.read_text().splitlines() if line.endswith((": stopping", ": stopped"))
    ]
    edge = [f"{name}: {state}" for name in ("gateway", "source1") for state in ("stopping", "stopped")]
    assert sorted(stopping[:4]) == sorted(edge), "what brings events goes first"
    assert stopping[4:6] == ["ingest: stopping", "ingest: stopped"]
    assert "killed" not in up.errors.read_text()


@pytest.mark.timeout(300)
def test_killed_it_leaves_no_process_and_starts_again(up: Up, tmp_path: Path) -> None:
    children = up.children()
    assert children.keys() == MODULES
    up.process.kill()
    up.process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in children.values()))
    # The sockets of the killed mesh are still there; the next one is not troubled by them.
    assert list(run_directory(up.home).glob("*.sock"))
    next_up = Up(up.home, tmp_path / "stderr2")
    try:
        next_up.wait_ready()
        next_up.process.send_signal(signal.SIGTERM)
        assert next_up.process.wait(timeout=60) == 0
    finally:
        next_up.process.kill()
        next_up.process.wait()
        assert next_up.process.stdout is not None
        next_up.process.stdout.close()
