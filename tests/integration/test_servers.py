"""The driver of the test servers: nothing is left behind, also when its process is killed, as root and as a
user."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from tests import servers
from tests.servers import NOBODY, PostgresServer, RedisServer

ROOT = Path(__file__).resolve().parents[2]

# Starts a server, says where it is, and waits to be killed. Everything is imported before the user changes:
# the interpreter may lie below a folder that only root may enter.
HOLD = """
import encodings.idna, json, os, sys, time
import psycopg, redis
from tests import servers

user = int(sys.argv[2])
if user != os.geteuid():
    os.setgroups([]); os.setgid(user); os.setuid(user)
with getattr(servers, sys.argv[1])() as server:
    if sys.argv[1] == "PostgresServer":
        with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT 41 + 1").fetchone() == (42,)
    else:
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
    if sys.argv[3] == "hold":
        print(json.dumps([server.pid, str(server.folder), os.geteuid()]), flush=True)
        time.sleep(600)
    server.stop()
print(json.dumps([server.folder.exists(), os.geteuid()]), flush=True)
"""

KINDS = pytest.mark.parametrize("kind", ["PostgresServer", "RedisServer"])


def driver(kind: str, user: int, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(user), mode],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_in(folder: str) -> list[int]:
    """Living processes whose command line names the folder: the server and, by their working folder, its
    children."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and os.readlink(entry / "cwd").startswith(folder):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


@KINDS
@pytest.mark.parametrize("user", [0, NOBODY] if os.geteuid() == 0 else [os.geteuid()])
def test_no_orphan_when_the_driver_is_killed(kind: str, user: int) -> None:
    process = driver(kind, user, "hold")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    pid, folder, uid = json.loads(line)
    assert uid == user
    assert pid in processes_in(folder)

    process.kill()
    process.communicate()

    deadline = time.monotonic() + 30
    while processes_in(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_in(folder) == []


@KINDS
def test_an_ordinary_user_starts_and_stops_it(kind: str) -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    process = driver(kind, user, "stop")

    out, error = process.communicate(timeout=100)

    assert process.returncode == 0, error
    assert out == f"[false, {user}]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
@KINDS
def test_servers_of_root_run_as_nobody(kind: str) -> None:
    with getattr(servers, kind)() as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
@KINDS
def test_binaries_that_nobody_cannot_reach_are_copied(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_reachable", lambda path: False)
    with getattr(servers, kind)() as server:
        program = os.readlink(f"/proc/{server.pid}/exe")
        assert program.startswith(str(server.folder))


def test_abandoned_folders_are_removed_at_the_next_start() -> None:
    process = driver("RedisServer", os.geteuid(), "hold")
    assert process.stdout is not None
    folder = Path(json.loads(process.stdout.readline())[1])
    with RedisServer() as beside:
        assert folder.exists(), "a folder in use was removed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with RedisServer():
            assert not folder.exists()
            assert beside.folder.exists()


def test_postgres_listens_on_loopback_only_and_wants_its_password(postgres_server: PostgresServer) -> None:
    url = postgres_server.url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        names = ("listen_addresses", "unix_socket_directories", "fsync", "password_encryption")
        values = [connection.execute(f"SHOW {name}").fetchone() for name in names]
    assert values == [("127.0.0.1",), ("",), ("on",), ("scram-sha-256",)]

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://usher:wrong@127.0.0.1:{postgres_server.port}/postgres")


def test_each_test_has_a_database_of_its_own(postgres_server: PostgresServer, postgres_url: str) -> None:
    other = postgres_server.create_database()
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE here (a int)")
    with psycopg.connect(postgres_server.url_of(other).replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT to_regclass('here')").fetchone() == (None,)
    postgres_server.drop_database(other)


def test_redis_is_private_and_evicts_nothing(redis_server: RedisServer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.config_get("bind", "maxmemory-policy") == {
            "bind": "127.0.0.1",
            "maxmemory-policy": "noeviction",
        }
        client.set("left", "behind")
        assert client.dbsize() == 1
        redis_server.flush()
        assert client.dbsize() == 0


def test_committed_rows_survive_a_crash_of_postgres() -> None:
    with PostgresServer() as server:
        url = server.url.replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (a int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT a FROM kept").fetchall() == [(1,)]


def test_durable_redis_keeps_its_keys_over_a_crash() -> None:
    with RedisServer(durable=True) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", b"1")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"1"
