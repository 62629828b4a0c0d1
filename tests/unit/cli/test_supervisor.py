"""The supervisor with small programs of the test's own: order, restarts, drain, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.supervisor import Policy, Program, RotatingLog, StartFailedError, State, Supervisor, _waves

ROOT = Path(__file__).parents[3]

# Writes what it does into a common journal; obeys SIGTERM unless told not to.
CHILD = """
import os, signal, sys, time
name, journal, mode = sys.argv[1:]
def note(what):
    with open(journal, "a") as file:
        file.write(f"{name} {what} {os.getpid()}\\n")
def term(*_):
    note("term")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else term)
note("up")
print(f"{name} says hello", file=sys.stderr, flush=True)
if mode == "dies":
    sys.exit(3)
while True:
    time.sleep(0.01)
"""


class Yard:
    """A place for children, their journal and what the supervisor told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal"
        self.journal.touch()
        self.told: list[tuple[str, State, str]] = []
        (path / "child.py").write_text(CHILD)

    def program(self, name: str, mode: str = "", needs: tuple[str, ...] = (), grace: float = 5.0) -> Program:
        async def ready() -> bool:
            return self.count(f"{name} up") > 0

        return Program(
            name=name,
            argv=(sys.executable, "-S", str(self.path / "child.py"), name, str(self.journal), mode),
            env={"PATH": os.environ["PATH"]},
            log=self.path / f"{name}.log",
            ready=ready,
            needs=needs,
            grace=grace,
        )

    def lines(self) -> list[str]:
        return self.journal.read_text().splitlines()

    def count(self, beginning: str) -> int:
        return sum(line.startswith(beginning) for line in self.lines())

    def pids(self) -> list[int]:
        return [int(line.split()[2]) for line in self.lines() if line.split()[1] == "up"]

    def tell(self, name: str, state: State, note: str) -> None:
        self.told.append((name, state, note))


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (a file of other processes has no event)
            await asyncio.sleep(0.01)


QUICK = Policy(first_delay=0.01, longest_delay=0.05, start_timeout=20.0)


async def test_starts_in_order_of_need_and_drains_the_other_way(yard: Yard) -> None:
    programs = [
        yard.program("gateway", needs=("ingest",)),
        yard.program("ingest", needs=("fraud", "scoring")),
        yard.program("fraud"),
        yard.program("scoring"),
    ]
    supervisor = Supervisor(programs, notify=yard.tell, policy=QUICK)
    await supervisor.run(supervisor.stop)
    order = [" ".join(line.split()[:2]) for line in yard.lines()]
    assert set(order[:2]) == {"fraud up", "scoring up"}
    assert order[2:6] == ["ingest up", "gateway up", "gateway term", "ingest term"]
    assert set(order[6:]) == {"fraud term", "scoring term"}
    assert not any(is_alive(pid) for pid in yard.pids())
    assert (yard.path / "fraud.log").read_text() == "fraud says hello\n"


async def test_an_eager_program_waits_for_nobody_and_drains_first(yard: Yard) -> None:
    needed = yard.program("ingest")

    async def after_the_gateway() -> bool:
        return yard.count("gateway up") > 0

    programs = [
        Program(**{**vars(needed), "ready": after_the_gateway}),
        Program(**{**vars(yard.program("gateway", needs=("ingest",))), "eager": True}),
    ]
    supervisor = Supervisor(programs, notify=yard.tell, policy=QUICK)
    await asyncio.wait_for(supervisor.run(supervisor.stop), 30)
    assert [" ".join(line.split()[:2]) for line in yard.lines()][2:] == ["gateway term", "ingest term"]


async def test_a_killed_program_comes_back(yard: Yard) -> None:
    supervisor = Supervisor([yard.program("fraud")], notify=yard.tell, policy=QUICK)
    ready = asyncio.Event()
    running = asyncio.create_task(supervisor.run(ready.set))
    await asyncio.wait_for(ready.wait(), 20)
    first = supervisor.pids["fraud"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: yard.count("fraud up") == 2)
    await until(lambda: [state for _, state, _ in yard.told].count(State.READY) == 2)
    assert supervisor.pids["fraud"] != first
    notes = [note for _, state, note in yard.told if state is State.RESTARTING]
    assert len(notes) == 1
    assert notes[0].startswith("ended by SIGKILL after ")
    supervisor.stop()
    await running
    assert not any(is_alive(pid) for pid in yard.pids())


async def test_backoff_doubles_to_its_limit(yard: Yard) -> None:
    policy = Policy(first_delay=0.1, longest_delay=0.4, start_attempts=5, start_timeout=20.0)
    program = yard.program("fraud", mode="dies")

    async def never() -> bool:
        return False

    program = Program(**{**vars(program), "ready": never})
    with pytest.raises(StartFailedError, match="ended with status 3 5 times before it was ready") as caught:
        await Supervisor([program], notify=yard.tell, policy=policy).run(pytest.fail)
    assert caught.value.tail == "fraud says hello\n" * 5
    notes = [note for _, state, note in yard.told if state is State.RESTARTING]
    assert [note.split(" in ")[1] for note in notes] == ["0.1 s", "0.2 s", "0.4 s", "0.4 s"]


async def test_a_start_that_fails_leaves_nothing(yard: Yard) -> None:
    programs = [
        yard.program("fraud"),
        Program(**{**vars(yard.program("scoring")), "argv": ("/nonexistent/x",)}),
    ]
    with pytest.raises(StartFailedError, match="scoring cannot be started"):
        await Supervisor(programs, notify=yard.tell, policy=QUICK).run(pytest.fail)
    assert not any(is_alive(pid) for pid in yard.pids())


async def test_a_start_that_takes_too_long_is_given_up(yard: Yard) -> None:
    async def never() -> bool:
        return False

    program = Program(**{**vars(yard.program("fraud")), "ready": never})
    policy = Policy(start_timeout=0.3)
    with pytest.raises(StartFailedError, match="fraud was not ready within"):
        await Supervisor([program], notify=yard.tell, policy=policy).run(pytest.fail)
    assert not any(is_alive(pid) for pid in yard.pids())


async def test_a_stubborn_program_is_killed_after_its_grace(yard: Yard) -> None:
    supervisor = Supervisor(
        [yard.program("fraud", mode="stubborn", grace=0.2)], notify=yard.tell, policy=QUICK
    )
    await supervisor.run(supervisor.stop)
    assert ("fraud", State.STOPPING, "still there: killed after 0 s") in yard.told
    assert yard.told[-1] == ("fraud", State.STOPPED, "")
    assert not any(is_alive(pid) for pid in yard.pids())


async def test_asked_twice_it_hurries(yard: Yard) -> None:
    supervisor = Supervisor(
        [yard.program("fraud", mode="stubborn", grace=600.0)], notify=yard.tell, policy=QUICK
    )

    def twice() -> None:
        supervisor.stop()
        asyncio.get_running_loop().call_later(0.2, supervisor.stop)

    await asyncio.wait_for(supervisor.run(twice), 30)
    assert ("fraud", State.STOPPING, "still there: killed on the second signal") in yard.told


def test_killed_itself_it_leaves_no_child(yard: Yard) -> None:
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from tests.unit.cli.test_supervisor import Yard, QUICK
        from cli.supervisor import Supervisor
        yard = Yard(Path(sys.argv[1]))
        programs = [yard.program("ingest", mode="stubborn", needs=("fraud",)), yard.program("fraud")]
        supervisor = Supervisor(programs, notify=lambda *_: None, policy=QUICK)
        asyncio.run(supervisor.run(lambda: print("ready", flush=True)))
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(yard.path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        pids = yard.pids()
        assert len(pids) == 2
        assert all(is_alive(pid) for pid in pids)
        process.kill()
        process.wait()
    patience = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < patience:
        time.sleep(0.01)
    assert not any(is_alive(pid) for pid in pids)


def test_needs_must_lead_somewhere(yard: Yard) -> None:
    with pytest.raises(ValueError, match="scoring, which is not there"):
        _waves([yard.program("ingest", needs=("scoring",))])
    with pytest.raises(ValueError, match="circular"):
        _waves([yard.program("a", needs=("b",)), yard.program("b", needs=("a",))])


def test_logs_rotate_at_the_ends_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = RotatingLog(path, limit=20, keep=2)
    for number in range(10):
        log.write(f"line {number} ".encode())
        log.write(b"ends\n")
    log.close()
    # 12 bytes a line: the second write of every second line passes 20 bytes and ends the file.
    assert path.with_name("x.log.2").read_text() == "line 6 ends\nline 7 ends\n"
    assert path.with_name("x.log.1").read_text() == "line 8 ends\nline 9 ends\n"
    assert path.read_text() == ""
    assert not path.with_name("x.log.3").exists()


def test_a_log_without_line_ends_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = RotatingLog(path, limit=100, keep=1)
    for _ in range(1000):
        log.write(b"x" * 10)
    log.close()
    assert path.stat().st_size + path.with_name("x.log.1").stat().st_size <= 400
