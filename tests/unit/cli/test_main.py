"""The command's face: help with examples, usage errors, and nothing heavy imported for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["up"],
        ["submit"],
        ["decide"],
        ["import-log"],
        ["simulate"],
        ["load"],
        ["why"],
        ["mode"],
        ["backfill"],
        ["inspect"],
        *(
            ["alerts", name]
            for name in ("list", "queue", "show", "ack", "assign", "resolve", "snooze", "watch")
        ),
        *(["alerts", name] for name in ("route", "deliveries", "replay", "incidents")),
        *(["lists", name] for name in ("block", "allow", "limit", "preview", "show", "lift")),
        *(["source", name] for name in ("kafka", "redis", "file", "stdin")),
        ["failed", "list"],
        ["failed", "show"],
        ["failed", "replay"],
    ],
)
def test_every_help_has_examples(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Examples:\n  " in result.stdout
    assert f"  usher {' '.join(command) or 'up'}" in result.stdout


@pytest.mark.parametrize("command", ["replay"])
def test_commands_that_do_not_exist_are_absent(command: str) -> None:
    assert CliRunner().invoke(app, [command]).exit_code == 2


def test_wrong_usage_is_status_2() -> None:
    assert CliRunner().invoke(app, ["decide"]).exit_code == 2
    assert CliRunner().invoke(app, ["up", "--port", "70000"]).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, cli.main\n"
        "try: cli.main.app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'rich', 'sqlalchemy', 'fastapi', 'numpy', 'google.protobuf', 'asyncio', 'services'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr == "[]\n"


def test_no_mesh_is_status_2_and_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["decide", "-", "--home", str(tmp_path)], input="")
    assert result.exit_code == 2
    assert "no mesh runs on" in result.stderr
    assert "usher up --home" in result.stderr


def test_a_port_in_use_is_status_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["up", "--home", str(tmp_path), "--port", str(port)])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "--port" in result.stderr


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    line = '192.0.2.1 - - [01/Mar/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n'
    (tmp_path / "log").write_text(line * 20_000)
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "import-log", str(tmp_path / "log")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "proto")},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() == 1
