"""The home directory of a mesh on one machine: its lock, its files, and the private directory of its sockets.

A home holds databases (`<service>.db`), `policy/`, `logs/`, and two small files: `lock`, held with flock
while a mesh runs on the home, and `run`, the path of the run directory. A unix socket's path must stay
below 104 bytes whatever the home's path is, so the sockets lie in a short directory of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.console import UnusableError

DEFAULT_HOME = ".usher"
HOME_VARIABLE = "USHER_HOME"

MAX_RUN_DIRECTORY_BYTES = 60
"""Longest path of a run directory: leaves room for the sockets' names within the 104 bytes a socket's path
has.
"""

# A command that looks whether a mesh runs holds the lock for an instant; `up` waits it out.
_LOCK_PATIENCE_SECONDS = 0.5


class Home:
    """The paths under one home directory. Creates nothing until a method says so."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    @property
    def logs(self) -> Path:
        """Directory of the processes' logs."""
        return self.path / "logs"

    @property
    def policy(self) -> Path:
        """Directory of the policy sets."""
        return self.path / "policy"

    @property
    def entity_key(self) -> Path:
        """File with the key of the hashes that stand for users in logs."""
        return self.path / "entity.key"

    @property
    def dev_key(self) -> Path:
        """File with the API key of the dev tenant, made at the first start."""
        return self.path / "dev.key"

    @property
    def places(self) -> Path:
        """Directory of GeoIP and reputation data of one's own (`make geoip`); absent: what is shipped is used."""
        return self.path / "places"

    def database(self, service: str) -> Path:
        """SQLite file of a service."""
        return self.path / f"{service}.db"

    def create(self) -> None:
        """Makes the directory, readable by its owner alone. Raises UnusableError where that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise UnusableError(
                f"cannot use {self.path} as the home ({error.strerror}): "
                f"name another with --home or {HOME_VARIABLE}"
            ) from None

    def make_entity_key(self) -> None:
        """Draws the key once, so that the log lines of two runs can be linked. Call it under the lock."""
        if not self.entity_key.exists():
            write_private(self.entity_key, secrets.token_hex(32))

    @contextmanager
    def locked(self, holder: dict[str, Any]) -> Iterator[None]:
        """Holds the home for this process; `holder` (JSON) tells others who it is.

        The kernel releases the lock when the process ends, however it ends. Raises UnusableError where
        another mesh holds it.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            patience = time.monotonic() + _LOCK_PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() < patience:
                        time.sleep(0.02)
                        continue
                    raise UnusableError(
                        f"a mesh already runs on {self.path}: {_tell(os.pread(descriptor, 4096, 0))}. "
                        "Stop it, or choose another home with --home"
                    ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def is_running(self) -> bool:
        """Says whether a mesh holds this home now."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def make_run_directory(self) -> Path:
        """Makes the private directory of the sockets, empties it, and writes its path to `run`. Call it
        under the lock.

        Raises UnusableError where a directory of that name belongs to somebody else or is open to others.
        """
        directory = run_directory(self.path)
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            found = directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise UnusableError(
                    f"{directory} exists and is not a private directory of this user: remove it, "
                    "or set XDG_RUNTIME_DIR to a directory of your own"
                ) from None
        except OSError as error:
            raise UnusableError(f"cannot make the run directory {directory} ({error.strerror})") from None
        clear_sockets(directory)
        pointer = self.path / "run.new"
        pointer.write_text(f"{directory}\n", encoding="utf-8")
        pointer.replace(self.path / "run")
        return directory

    def remove_run_directory(self, directory: Path) -> None:
        """Removes the sockets, their directory and `run`. Call it under the lock."""
        (self.path / "run").unlink(missing_ok=True)
        clear_sockets(directory)
        directory.rmdir()

    def target(self, service: str) -> str:
        """Address of a service of the mesh that runs on this home. Raises UnusableError where none runs."""
        advice = f"start it with `usher up --home {self.path}`, or name a mesh with --target"
        if not self.is_running():
            raise UnusableError(f"no mesh runs on {self.path}: {advice}")
        try:
            directory = (self.path / "run").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise UnusableError(
                f"the mesh on {self.path} is only just starting: try again in a moment"
            ) from None
        return f"unix:{directory}/{service}.sock"


def write_private(path: Path, text: str) -> None:
    """Writes a line into a file that its owner alone can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(f"{text}\n", encoding="ascii")
    draft.replace(path)


def run_directory(home: Path) -> Path:
    """The run directory of a home: a short path derived from the home's, the same each time.

    Under XDG_RUNTIME_DIR, else the system's directory for temporary files, else /tmp: the first that is
    short enough and exists.
    """
    name = "usher-" + hashlib.blake2s(os.fsencode(home), digest_size=6).hexdigest()
    bases = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]
    for base in bases:
        candidate = os.path.join(base, name)
        if (
            os.path.isabs(base)
            and os.path.isdir(base)
            and len(os.fsencode(candidate)) < MAX_RUN_DIRECTORY_BYTES
        ):
            return Path(candidate)
    raise UnusableError(
        "there is no short directory for sockets: set XDG_RUNTIME_DIR to one of at most 40 bytes"
    )


def clear_sockets(directory: Path) -> None:
    """Removes what a killed mesh left in its run directory. Nothing but sockets is ever put there."""
    for entry in directory.iterdir():
        entry.unlink()


def _tell(content: bytes) -> str:
    """What the lock file says of its holder."""
    try:
        holder = json.loads(content)
        return f"process {holder['pid']}, {holder['http']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it is starting or stopping"
