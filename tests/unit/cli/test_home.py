"""The home of a mesh: one holder, a short private run directory, and what a killed mesh leaves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.console import UnusableError
from cli.home import MAX_RUN_DIRECTORY_BYTES, Home, run_directory

ROOT = Path(__file__).parents[3]
HOLDER = {"pid": 4711, "http": "http://127.0.0.1:8000", "since": "2026-11-22T14:00:00+00:00"}


@pytest.fixture
def home(tmp_path: Path, short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_tmp_path))
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_a_second_holder_is_told_who_is_the_first(home: Home) -> None:
    assert not home.is_running()
    with home.locked(HOLDER):
        assert home.is_running()
        with (
            pytest.raises(
                UnusableError, match=r"process 4711, http://127\.0\.0\.1:8000, since 2026-11-22T14:00"
            ),
            Home(home.path).locked({}),
        ):
            pytest.fail("two holders")
    assert not home.is_running()


def test_a_killed_holder_holds_no_longer(home: Home) -> None:
    script = (
        "import sys; from pathlib import Path; from cli.home import Home\n"
        "with Home(Path(sys.argv[1])).locked({}): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert home.is_running()
        process.kill()
        process.wait()
    assert not home.is_running()


def test_run_directory_is_private_short_and_found_again(home: Home) -> None:
    with home.locked(HOLDER):
        directory = home.make_run_directory()
        assert directory == run_directory(home.path)
        assert directory.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(directory)) < MAX_RUN_DIRECTORY_BYTES
        assert Home(home.path).target("ingest") == f"unix:{directory}/ingest.sock"
        home.remove_run_directory(directory)
        assert not directory.exists()
        with pytest.raises(UnusableError, match="only just starting"):
            home.target("ingest")
    with pytest.raises(UnusableError, match="no mesh runs on"):
        home.target("ingest")


def test_two_homes_have_two_run_directories(home: Home, tmp_path: Path) -> None:
    assert run_directory(home.path) != run_directory(tmp_path / "other")


def test_a_long_runtime_directory_is_passed_over(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(long))
    assert run_directory(home.path).parent == Path("/tmp")


def test_stale_sockets_are_removed(home: Home) -> None:
    directory = run_directory(home.path)
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(directory / "ingest.sock"))
    assert (directory / "ingest.sock").exists()
    home.make_run_directory()
    assert list(directory.iterdir()) == []


def test_a_run_directory_open_to_others_is_refused(home: Home) -> None:
    run_directory(home.path).mkdir(mode=0o755)
    with pytest.raises(UnusableError, match="not a private directory of this user"):
        home.make_run_directory()


def test_a_link_in_place_of_the_run_directory_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    run_directory(home.path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnusableError, match="not a private directory of this user"):
        home.make_run_directory()


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableError, match="name another with --home or USHER_HOME"):
        Home(tmp_path / "file" / "home").create()
