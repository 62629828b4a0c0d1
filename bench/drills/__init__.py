"""Drills: the mesh is killed at random moments under traffic, and the sender's own books say whether anything was lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import LEAVES, Mesh
from tests.ledger import (
    PATIENT,
    Ledger,
    Stream,
    Traffic,
    check_answers,
    check_books,
    check_profiles,
    decide_only,
    door_by_user,
    make_whole,
    read_books,
    replay,
    settle,
)

VIEWERS = 96
_LONGEST_RUN_S = 1.0
"""A kill comes at a random moment of the first second after ingest serves."""
_LONGEST_START_S = 1.5
"""One kill in five comes while ingest is starting: it recovers what the last one left."""


@dataclass
class Result:
    """What one drill found."""

    database: str
    seed: int
    kills: dict[str, int] = field(default_factory=dict)
    """Kills by service."""
    sent: int = 0
    resent: int = 0
    """Events sent again because their call was not answered."""
    decided: int = 0
    degraded: int = 0
    failed: int = 0
    alerts: int = 0
    """Messages that alerts keeps."""
    back_s: list[float] = field(default_factory=list)
    """Seconds from start to SERVING of ingest, by kill."""
    violations: list[str] = field(default_factory=list)


def drill(
    folder: Path, database_url: str | None, kills: int, seed: int, step: Callable[[str], None]
) -> Result:
    """Runs one drill: traffic, kills, resending, then all comparisons with the books and an undisturbed run.

    Args:
        folder: an empty folder of the drill's own.
        database_url: an empty PostgreSQL database; None for SQLite files in the folder.
        kills: how often ingest is killed, at least 1.
        seed: of the traffic and of the moments.
        step: told what is being done, once a kill and once a comparison (`kills + 4` times).
    """
    rng = random.Random(seed)
    stream, ledger = Stream(seed, VIEWERS, f"drill{seed}"), Ledger()
    result = Result("SQLite" if database_url is None else "PostgreSQL", seed)
    with Mesh(folder / "disturbed", database_url=database_url, env=PATIENT) as mesh:
        targets = mesh.targets("ingest")
        Traffic(stream, ledger, targets, seed=seed, door=decide_only, each=15, pause=0.0).finish()
        traffic = Traffic(stream, ledger, targets, seed=seed, pause=0.05, patience=120.0)
        if database_url is not None:
            traffic = Traffic(
                stream, ledger, targets, seed=seed, door=door_by_user, pause=0.05, patience=120.0
            )
        with traffic:
            for number in range(1, kills + 1):
                step(f"kill {number} of {kills}")
                _kill(mesh, rng, result, number)
        step("waiting until all is told")
        make_whole(stream, ledger, targets)
        settle(mesh)
        step("comparing id by id")
        books = read_books(mesh)
        result.violations += check_books(books, ledger, stream)
        with mesh.ingest() as front:
            result.violations += check_answers(front, ledger)
    step("an undisturbed run of the same events")
    with Mesh(folder / "undisturbed", env=PATIENT) as calm:
        reference = replay(stream, calm, patience=600.0)
    step("comparing profiles")
    result.violations += check_profiles(books, reference, stream)
    result.sent, result.resent = len(ledger.sent), ledger.resent
    result.decided, result.failed = len(books.decisions), len(ledger.failed)
    result.degraded = sum(1 for decision in books.decisions.values() if decision.degraded)
    result.alerts = len(books.messages)
    return result


def _kill(mesh: Mesh, rng: random.Random, result: Result, number: int) -> None:
    """Kills ingest at a random moment, every fifth time another service too, and starts what was killed."""
    leaf = LEAVES[number // 5 % len(LEAVES)] if number % 5 == 0 else None
    time.sleep(rng.uniform(0, _LONGEST_RUN_S))
    if leaf is not None:
        mesh.kill(leaf)
        _note(result, leaf)
        time.sleep(rng.uniform(0, _LONGEST_RUN_S))
    mesh.kill("ingest")
    _note(result, "ingest")
    if leaf is not None:
        mesh.process(leaf).start()
    if rng.random() < 0.2:
        mesh.process("ingest").start()
        time.sleep(rng.uniform(0, _LONGEST_START_S))
        mesh.kill("ingest")
        _note(result, "ingest while starting")
    started = time.monotonic()
    mesh.start("ingest")
    result.back_s.append(time.monotonic() - started)
    if leaf is not None:
        mesh.process(leaf).wait_serving()


def _note(result: Result, service: str) -> None:
    result.kills[service] = result.kills.get(service, 0) + 1
