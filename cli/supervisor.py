"""Keeps a set of processes running: starts them in order of need, restarts a crashed one, drains them in
order.

Knows nothing of what the processes are. Each child leads a session of its own, so that Ctrl-C at the
terminal reaches the supervisor alone and the drain keeps its order. On Linux each child is tied to the
supervisor: should it be killed, the kernel kills them (PR_SET_PDEATHSIG, prctl(2)); that signal hangs on
the spawning thread, so children are spawned from the main thread only.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_READ_BYTES = 65_536
_TAIL_BYTES = 4096
_POLL_SECONDS = 0.05
# After SIGKILL a process is gone at once, unless it hangs in the kernel (a dead disk).
_KILL_SECONDS = 5.0
# A process of a child's own could hold its pipe open: the pipe's end is not waited for beyond a moment.
_OUTPUT_SECONDS = 1.0


class State(Enum):
    """Where a program is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Program:
    """One process to keep running."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """The whole environment."""
    log: Path
    """Where its stderr and stdout go."""
    ready: Callable[[], Awaitable[bool]]
    """Says whether it does its work; asked until it is true. Never raises for a process that is not there
    yet.
    """
    needs: tuple[str, ...] = ()
    """Programs that are ready before it starts and drain after it."""
    eager: bool = False
    """Starts at once all the same: it waits for what it needs by itself. The drain keeps its order."""
    grace: float = 15.0
    """Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class Policy:
    """How patient the supervisor is. Durations are in seconds."""

    first_delay: float = 0.2
    """Before the first restart; doubles with each crash."""
    longest_delay: float = 10.0
    steady_after: float = 60.0
    """A process that lived this long begins with the first delay again."""
    start_attempts: int = 3
    """A process that dies as often before it was ever ready will not become ready: the start is given up."""
    start_timeout: float = 60.0
    """From the spawn to ready, before the start is given up."""
    log_bytes: int = 8 * 1024 * 1024
    """Size from which a log is rotated, at the end of a line."""
    log_files: int = 3
    """Rotated logs that are kept."""


class StartFailedError(Exception):
    """A program did not become ready. `tail` holds the last of what it wrote."""

    def __init__(self, name: str, why: str, tail: str) -> None:
        super().__init__(f"{name} {why}")
        self.name = name
        self.tail = tail


Notify = Callable[[str, State, str], None]
"""Called with the program's name, its new state, and a note for people ("" where there is nothing to add)."""


class RotatingLog:
    """A log file that is renamed when it is full: `x.log` -> `x.log.1` -> ... -> gone."""

    def __init__(self, path: Path, limit: int, keep: int) -> None:
        self._path = path
        self._limit = limit
        self._keep = keep
        self._open()
        self.tail = b""

    def _open(self) -> None:
        self._file = open(self._path, "ab", buffering=0, opener=_private)  # noqa: SIM115
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Appends, and rotates at the end of the line in which the limit is passed."""
        self.tail = (self.tail + data)[-_TAIL_BYTES:]
        if self._size + len(data) > self._limit:
            cut = data.find(b"\n") + 1
            # A line longer than half the limit is cut: the bound holds for those who write no line ends, too.
            if not cut and self._size > self._limit + self._limit // 2:
                cut = len(data)
            if cut:
                self._append(data[:cut])
                self._rotate()
                data = data[cut:]
        self._append(data)

    def _append(self, data: bytes) -> None:
        while data:
            written = self._file.write(data) or 0
            self._size += written
            data = data[written:]

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._keep, 0, -1):
            source = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if source.exists():
                source.replace(self._path.with_name(f"{self._path.name}.{number}"))
        if not self._keep:
            self._path.unlink()
        self._open()

    def close(self) -> None:
        self._file.close()


class Supervisor:
    """Runs the programs from `run` until `stop`. Use it from the main thread's event loop."""

    def __init__(self, programs: Sequence[Program], *, notify: Notify, policy: Policy | None = None) -> None:
        """Raises ValueError where names repeat or needs do not lead anywhere."""
        self._policy = policy or Policy()
        self._children = {
            program.name: _Child(program, self._policy, notify, self._need) for program in programs
        }
        if len(self._children) != len(programs):
            raise ValueError("two programs share a name")
        self._waves = _waves(programs)
        self._hurried = asyncio.Event()
        self._stop_wanted = asyncio.Event()

    async def _need(self, name: str) -> None:
        await self._children[name].was_ready.wait()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run now, by name."""
        return {name: child.pid for name, child in self._children.items() if child.pid is not None}

    def stop(self) -> None:
        """Asks for the drain; asked again, for its quick end. Safe in a signal handler of the loop."""
        if self._stop_wanted.is_set():
            self._hurried.set()
        self._stop_wanted.set()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Starts everything, calls `on_ready` once all are ready, keeps them running until `stop`, then
        drains.

        Raises StartFailedError, after the drain, where a program did not become ready at the start.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are tied to the main thread: supervise from there")
        keepers = [asyncio.create_task(child.keep(), name=name) for name, child in self._children.items()]
        all_ready = asyncio.gather(*(child.was_ready.wait() for child in self._children.values()))
        stop = asyncio.create_task(self._stop_wanted.wait())
        everything: list[asyncio.Future[Any]] = [all_ready, stop, *keepers]
        failure: BaseException | None = None
        try:
            await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            failure = _failure(keepers)
            if failure is None and all_ready.done():
                on_ready()
                await asyncio.wait([stop, *keepers], return_when=asyncio.FIRST_COMPLETED)
                failure = _failure(keepers)
        finally:
            all_ready.cancel()
            stop.cancel()
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(all_ready, stop, *keepers, return_exceptions=True)
            await self._drain()
        if failure is not None:
            raise failure

    async def _drain(self) -> None:
        for wave in self._waves:
            await asyncio.gather(*(self._children[name].end(self._hurried) for name in wave))


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: ours, and the roots from which this code was imported, installed or not."""
    import services
    import usher

    env = dict(environment)
    roots = [str(Path(next(iter(package.__path__))).resolve().parent) for package in (services, usher)]
    env["PYTHONPATH"] = os.pathsep.join([*roots, *filter(None, [env.get("PYTHONPATH", "")])])
    return env


def _failure(keepers: Sequence[asyncio.Task[None]]) -> BaseException | None:
    for keeper in keepers:
        if keeper.done() and not keeper.cancelled() and keeper.exception() is not None:
            return keeper.exception()
    return None


def _waves(programs: Sequence[Program]) -> list[list[str]]:
    """Order of the drain: first those whom nobody needs. Raises ValueError for unknown or circular needs."""
    rest = {program.name: set(program.needs) for program in programs}
    for name, needs in rest.items():
        if unknown := needs - rest.keys():
            raise ValueError(f"{name} needs {', '.join(sorted(unknown))}, which is not there")
    waves: list[list[str]] = []
    while rest:
        needed = set().union(*rest.values())
        wave = [name for name in rest if name not in needed]
        if not wave:
            raise ValueError(f"the needs of {', '.join(rest)} are circular")
        waves.append(wave)
        for name in wave:
            del rest[name]
    return waves


class _Child:
    """One program's process, now and after each restart."""

    def __init__(
        self, program: Program, policy: Policy, notify: Notify, need: Callable[[str], Awaitable[None]]
    ) -> None:
        self._program = program
        self._policy = policy
        self._notify = notify
        self._need = need
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = asyncio.Event()
        self._output = asyncio.Event()
        self._readers: set[int] = set()
        self._log: RotatingLog | None = None
        self.was_ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def _say(self, state: State, note: str = "") -> None:
        self._notify(self._program.name, state, note)

    async def keep(self) -> None:
        """Starts the program and restarts it whenever it ends. Raises StartFailedError before it was ever
        ready.
        """
        self._say(State.WAITING)
        for name in () if self._program.eager else self._program.needs:
            await self._need(name)
        delay = self._policy.first_delay
        attempts = 0
        note = ""
        while True:
            began = time.monotonic()
            self._say(State.STARTING, note)
            self._spawn()
            await self._watch_start()
            await self._gone.wait()
            await _first((self._output,), _OUTPUT_SECONDS)
            lived = time.monotonic() - began
            ending = _ending(self._process)
            if not self.was_ready.is_set():
                attempts += 1
                if attempts >= self._policy.start_attempts:
                    raise StartFailedError(
                        self._program.name, f"{ending} {attempts} times before it was ready", self._tail()
                    )
            if lived >= self._policy.steady_after:
                delay = self._policy.first_delay
            self._say(State.RESTARTING, f"{ending} after {lived:.1f} s; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._policy.longest_delay)
            note = "again"

    async def _watch_start(self) -> None:
        """Returns when the process is ready or gone."""
        gone = asyncio.create_task(self._gone.wait())
        probing = asyncio.create_task(self._probe())
        try:
            await asyncio.wait(
                [gone, probing], timeout=self._policy.start_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if gone.done():
                return
            if probing.done():
                probing.result()
                self.was_ready.set()
                self._say(State.READY)
            elif not self.was_ready.is_set():
                raise StartFailedError(
                    self._program.name,
                    f"was not ready within {self._policy.start_timeout:.0f} s",
                    self._tail(),
                )
            else:
                # It served before and runs now: what it waits for may come back. It says so itself in its
                # log.
                self._say(State.STARTING, f"not ready after {self._policy.start_timeout:.0f} s; waiting on")
                await asyncio.wait([gone, probing], return_when=asyncio.FIRST_COMPLETED)
                if not gone.done():
                    self._say(State.READY)
        finally:
            gone.cancel()
            probing.cancel()
            await asyncio.gather(gone, probing, return_exceptions=True)

    async def _probe(self) -> None:
        while not await self._program.ready():  # noqa: ASYNC110
            # Another process's readiness announces itself to nobody.
            await asyncio.sleep(_POLL_SECONDS)

    def _spawn(self) -> None:
        if self._log is None:
            self._log = RotatingLog(self._program.log, self._policy.log_bytes, self._policy.log_files)
        self._gone = asyncio.Event()
        self._output = asyncio.Event()
        reader, writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                self._program.argv,
                env=dict(self._program.env),
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
                preexec_fn=_tie_to_parent(os.getpid()),
            )
        except OSError as error:
            os.close(reader)
            raise StartFailedError(self._program.name, f"cannot be started ({error.strerror})", "") from error
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        self._readers.add(reader)
        asyncio.get_running_loop().add_reader(reader, self._drain_output, reader, self._log, self._output)
        _on_exit(self._process, self._gone)

    def _drain_output(self, reader: int, log: RotatingLog, ended: asyncio.Event) -> None:
        try:
            data = os.read(reader, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            log.write(data)
            return
        self._close_output(reader)
        ended.set()

    def _close_output(self, reader: int) -> None:
        asyncio.get_running_loop().remove_reader(reader)
        self._readers.discard(reader)
        os.close(reader)

    def _tail(self) -> str:
        return "" if self._log is None else self._log.tail.decode(errors="replace")

    async def end(self, hurried: asyncio.Event) -> None:
        """SIGTERM, the grace, SIGKILL; returns when the process is gone and its output is written."""
        process = self._process
        if process is not None:
            if process.poll() is None:
                self._say(State.STOPPING)
                process.send_signal(signal.SIGTERM)
                await _first((self._gone, hurried), self._program.grace)
                if process.poll() is None:
                    why = "on the second signal" if hurried.is_set() else f"after {self._program.grace:.0f} s"
                    self._say(State.STOPPING, f"still there: killed {why}")
                    process.kill()
                    await _first((self._gone,), _KILL_SECONDS)
            if process.poll() is None:
                self._say(
                    State.STOPPED, f"process {process.pid} does not end even when killed: look after it"
                )
            else:
                await _first((self._output,), _OUTPUT_SECONDS)
                self._say(State.STOPPED)
        for reader in list(self._readers):
            self._close_output(reader)
        if self._log is not None:
            self._log.close()


def _ending(process: subprocess.Popen[bytes] | None) -> str:
    code = None if process is None else process.returncode
    if code is not None and code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"
    return f"ended with status {code}"


async def _first(events: Sequence[asyncio.Event], seconds: float) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _on_exit(process: subprocess.Popen[bytes], gone: asyncio.Event) -> None:
    """Sets the event when the process has ended and is reaped."""
    loop = asyncio.get_running_loop()
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(process.pid)

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            process.wait()
            gone.set()

        loop.add_reader(descriptor, ended)
        return

    def look() -> None:
        if process.poll() is None:
            loop.call_later(_POLL_SECONDS, look)
        else:
            gone.set()

    look()


def _tie_to_parent(parent: int) -> Callable[[], None] | None:
    """What a child does between fork and exec so that it dies with its parent; None where the system
    cannot.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        if prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            os._exit(126)
        # The parent may have died before the tie was made.
        if os.getppid() != parent:
            os._exit(126)

    return tie


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
