"""`usher fraud sweep`: where it reads, where it records, and what cannot be asked for together."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import rings
from cli.main import app


def swept(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[str], str]:
    """Exit status, what the sweep's process is given, and what is said."""
    given: list[str] = []

    def sweep(*words: str) -> int:
        given.extend(words)
        return 0

    monkeypatch.setattr(rings, "sweep", sweep)
    done = CliRunner().invoke(app, ["fraud", "sweep", *arguments])
    return done.exit_code, given, done.output


def test_it_reads_the_last_snapshot_of_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved = tmp_path / "fraud" / "memory.jsonl"
    saved.parent.mkdir()
    saved.touch()
    status, given, _ = swept(monkeypatch, "--home", str(tmp_path), "--tenant", "acme")
    assert status == 0
    assert given == ["snapshot", str(saved), "--tenant", "acme"]


def test_it_reads_redis_and_records_where_a_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    status, given, _ = swept(
        monkeypatch, "--redis-url-file", "r", "--record-url-file", "d", "--parameters", "p", "--backend", "b"
    )
    assert status == 0
    assert given[:4] == ["redis", "r", "--tenant", "dev"]
    assert dict(zip(given[4::2], given[5::2], strict=True)) == {
        "--record-url-file": "d", "--parameters": "p", "--backend": "b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--snapshot", "s", "--redis-url-file", "r"), "--redis-url-file"),
        (("--record", "--record-url-file", "d"), "--record-url-file"),
        (("--record",), "usher up"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, given, output = swept(monkeypatch, "--home", str(tmp_path), *arguments)
    assert (status, given) == (2, [])
    assert said in output
