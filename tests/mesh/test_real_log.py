"""A real access log through a fresh mesh: `usher up`, `usher import-log FILE | usher decide -`, twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios import until

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("mesh-real-log")]

ROOT = Path(__file__).resolve().parents[2]
LOG = "logs/apache_17-18may.log"
LINES = 4_525
"""Of the log, as `wc -l` counts them."""


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
    return {**kept, "PYTHONPATH": str(ROOT / "proto"), "COLUMNS": "200"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


class Up:
    """A running `usher up`."""

    def __init__(self, home: Path, errors: Path) -> None:
        self.home = home
        with errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                command("up", "--home", str(home), "--port", "0"),
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        watchdog = threading.Timer(90, self.process.kill)
        watchdog.start()
        self.http = ""
        for line in self.process.stdout:
            if line.startswith("http "):
                self.http = line.split()[1]
            if line == "ready\n":
                break
        watchdog.cancel()
        if self.process.poll() is not None:
            pytest.fail(f"not ready:\n{errors.read_text()}")

    def stop(self) -> int:
        """Drains it; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def accounting(self) -> dict[str, Any]:
        [account] = httpx.get(f"{self.http}/api/v1/accounting", trust_env=False, timeout=10).json()[
            "accounts"
        ]
        return account


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("log")
    running = Up(folder / "home", folder / "stderr")
    yield running
    running.process.kill()
    running.process.wait()
    assert running.process.stdout is not None
    running.process.stdout.close()


def run_log(up: Up, log: Path, *options: str) -> tuple[int, bytes, str]:
    """`usher import-log LOG | usher decide - OPTIONS`: status, stdout and stderr of the second."""
    source = subprocess.Popen(
        command("import-log", str(log)), cwd=ROOT, env=environment(), stdout=subprocess.PIPE
    )
    done = subprocess.run(
        command("decide", "-", "--home", str(up.home), *options),
        stdin=source.stdout,
        capture_output=True,
        cwd=ROOT,
        env=environment(),
        check=False,
        timeout=180,
    )
    assert source.stdout is not None
    source.stdout.close()
    assert source.wait(30) == 0
    return done.returncode, done.stdout, done.stderr.decode()


def test_every_line_of_a_real_log_ends_decided_or_failed_with_a_reason(
    up: Up, test_data: Callable[[str, str], Path]
) -> None:
    log = test_data(LOG, "an access log of a web server, 4,525 lines")
    assert log.read_bytes().count(b"\n") == LINES
    status, out, err = run_log(up, log, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert len(answers) == LINES
    assert len({answer["event_id"] for answer in answers}) == LINES
    ends = Counter("decided" if "outcome" in answer else answer["status"] for answer in answers)
    assert set(ends) <= {"decided", "failed"}, ends
    for answer in answers:
        if "outcome" in answer:
            assert answer["outcome"] in ("ALLOW", "ALLOW_WITH_CAUTION", "REVIEW", "BLOCK")
            assert not answer.get("degraded")
        else:
            assert answer["reason"]
            assert answer["failed_id"]
    assert status == (0 if not ends["failed"] else 1)
    account = up.accounting()
    assert account["balanced"]
    assert account["received"] == account["accepted"] == LINES
    assert (account["decided"], account["failed"], account["pending"]) == (ends["decided"], ends["failed"], 0)
    assert "4,525" in err

    # The second run answers the same from receipts.
    again_status, again, again_err = run_log(up, log, "--json")
    assert again_status == status
    decided = [line for line in out.splitlines() if b'"outcome"' in line]
    repeated = [line for line in again.splitlines() if b'"outcome"' in line]
    assert repeated == decided
    books = up.accounting()
    assert books["balanced"]
    assert books["duplicate"] == ends["decided"]
    assert books["decided"] == ends["decided"]
    assert "duplicate" in again_err

    # Without --json a person reads the account of the lines.
    plain_status, plain_out, plain_err = run_log(up, log)
    assert plain_status == status
    assert plain_out == b""
    assert "duplicate" in plain_err


def test_after_a_restart_of_the_mesh_the_decisions_are_still_there(
    up: Up, test_data: Callable[[str, str], Path], tmp_path: Path
) -> None:
    log = test_data(LOG, "an access log of a web server, 4,525 lines")
    few = tmp_path / "few.log"
    few.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:100]))
    _, out, _ = run_log(up, few, "--json")
    assert up.stop() == 0
    again = Up(up.home, tmp_path / "stderr")
    try:
        _, repeated, _ = run_log(again, few, "--json")
        assert repeated == out
        assert len(out.splitlines()) == 100
        until(lambda: again.accounting()["balanced"])
        assert again.stop() == 0
    finally:
        again.process.kill()
        again.process.wait()
        assert again.process.stdout is not None
        again.process.stdout.close()
