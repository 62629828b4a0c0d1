"""Processes die at the worst moments; the sender's own books say whether anything was lost, doubled or changed.

Issue: what a sender was told stands, whatever is killed. Traffic with a ledger flows while ingest kills itself
(SIGKILL) at each named point, or another service is killed in mid-call; then all is compared id by id.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.alerts import faults as alerts_faults
from services.ingest.faults import POINTS
from tests.harness import Mesh
from tests.ledger import (
    PATIENT,
    Books,
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
    settle,
)
from usher.decision.v1 import decision_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("faults")]

Undisturbed = Callable[[Stream], Books]


def _crash_at(mesh: Mesh, name: str, point: str, count: int) -> None:
    """Starts a service (again) so that it kills itself the n-th time it passes the point, and waits for that."""
    process = mesh.process(name)
    if process.running:
        mesh.kill(name)
    at = f"{point}:{count}" if name == "ingest" else point
    process.start({"USHER_FAULTS": "1", "USHER_CRASH_AT": at})
    assert process.popen is not None
    assert process.popen.wait(timeout=60) == -signal.SIGKILL, f"{point}: {process.tail()}"


def _warm_up(mesh: Mesh, stream: Stream, ledger: Ledger) -> None:
    """Histories, so that there are decisions to review, and alerts, from the first crash on."""
    Traffic(stream, ledger, mesh.targets("ingest"), door=decide_only, each=15, pause=0.0).finish()


def _flow(ledger: Ledger) -> None:
    """Lets traffic run until there was enough of each kind, however slow the machine."""
    end = time.monotonic() + 60
    while min(ledger.doors["decide"], ledger.doors["submit"]) <= 100 or not ledger.failed:
        assert time.monotonic() < end, f"no traffic: {ledger.doors}, {len(ledger.failed)} failed"
        time.sleep(0.1)


def _prove(mesh: Mesh, stream: Stream, ledger: Ledger, undisturbed: Undisturbed) -> Books:
    make_whole(stream, ledger, mesh.targets("ingest"))
    settle(mesh)
    books = read_books(mesh)
    wrong = check_books(books, ledger, stream)
    with mesh.ingest() as front:
        wrong += check_answers(front, ledger)
    wrong += check_profiles(books, undisturbed(stream), stream)
    assert wrong == []
    # The drill has drilled: there were decisions to tell of.
    assert books.told["decision.review"] + books.told["decision.block"] > 10
    return books


def _ingest_crashes(mesh: Mesh, stream: Stream, points: Sequence[str], **traffic: object) -> Ledger:
    rng = random.Random(7)
    ledger = Ledger()
    _warm_up(mesh, stream, ledger)
    with Traffic(stream, ledger, mesh.targets("ingest"), **traffic):  # type: ignore[arg-type]
        for point in points:
            _crash_at(mesh, "ingest", point, rng.randint(1, 4))
        mesh.start("ingest")
        _flow(ledger)
    assert ledger.resent > 0
    return ledger


def test_ingest_killed_at_every_point_on_sqlite(tmp_path: Path, undisturbed: Undisturbed) -> None:
    stream = Stream(1, 96, "points")
    with Mesh(tmp_path, env=PATIENT) as mesh:
        ledger = _ingest_crashes(mesh, stream, POINTS)
        _prove(mesh, stream, ledger, undisturbed)


def test_ingest_killed_on_postgresql(tmp_path: Path, postgres_url: str, undisturbed: Undisturbed) -> None:
    points = ("accept.after_commit", "ask.after", "commit.inside", "commit.after", "tell.after")
    stream = Stream(2, 96, "pgpoints")
    with Mesh(tmp_path, database_url=postgres_url, env=PATIENT) as mesh:
        ledger = _ingest_crashes(mesh, stream, points, door=door_by_user)
        _prove(mesh, stream, ledger, undisturbed)


def test_other_services_killed_in_mid_call(tmp_path: Path, undisturbed: Undisturbed) -> None:
    stream = Stream(3, 96, "leaves")
    rng = random.Random(3)
    ledger = Ledger()
    with Mesh(tmp_path, env=PATIENT) as mesh:
        _warm_up(mesh, stream, ledger)
        with Traffic(stream, ledger, mesh.targets("ingest")):
            for name in ("scoring", "compliance", "fraud", "alerts"):
                time.sleep(0.2 + rng.random() / 4)
                mesh.kill(name)
                time.sleep(0.4)
                mesh.start(name)
            for point in ("alerts.raise.before_commit", "alerts.raise.after_commit"):
                assert point in alerts_faults.POINTS
                _crash_at(mesh, "alerts", point, 1)
            mesh.start("alerts")
            _flow(ledger)
        books = _prove(mesh, stream, ledger, undisturbed)

    degraded = {service for decision in books.decisions.values() for service in decision.degraded}
    assert degraded == {
        decision_pb2.SERVICE_COMPLIANCE,
        decision_pb2.SERVICE_SCORING,
        decision_pb2.SERVICE_FRAUD,
    }
    # An outage is one incident each, not a case an event.
    outages = {kind: n for kind, n in books.told.items() if kind.startswith("degraded.")}
    assert set(outages) == {"degraded.compliance", "degraded.scoring", "degraded.fraud"}
    assert max(outages.values()) < 10
