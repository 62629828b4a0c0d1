"""USHER_TEST_DATA: unset is a skip that says so, set is a promise that the run is complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testdata import VARIABLE, data_path

ROOT = Path(__file__).resolve().parents[2]


def test_unset_skips_with_a_plain_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    with pytest.raises(pytest.skip.Exception) as caught:
        data_path("logs/a.log", "the access log")

    assert caught.value.msg == "USHER_TEST_DATA is not set: the access log"


def test_set_finds_the_file_or_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path))

    assert data_path("here", "a file") == tmp_path / "here"
    with pytest.raises(pytest.fail.Exception, match="absent is not there: a file"):
        data_path("absent", "a file")


@pytest.mark.parametrize(("value", "summary"), [("", "1 skipped"), ("/", "1 failed")])
def test_a_run_that_should_be_complete_fails_when_it_skips_for_data(
    value: str, summary: str, tmp_path: Path
) -> None:
    (tmp_path / "test_skips.py").write_text(
        "import pytest\n\ndef test_it():\n    pytest.skip('USHER_TEST_DATA is not set: all of it')\n"
    )
    environment = {**os.environ, VARIABLE: value, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "-q",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert summary in result.stdout, result.stdout + result.stderr
