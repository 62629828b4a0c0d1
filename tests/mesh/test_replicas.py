"""Two of each service on one PostgreSQL and one Redis-compatible server decide as one of each does.

Issue: a viewer's next event goes to any of the ingest processes once the last was answered; each viewer's decisions
equal those of one process. The viewers of the stream share nothing, so that no cross-account signal differs.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.ingest.receipts import SHARDS
from tests.harness import SERVICES, Mesh
from tests.ledger import (
    PATIENT,
    Books,
    Ledger,
    Stream,
    Traffic,
    check_answers,
    check_books,
    check_decisions,
    check_profiles,
    database,
    decide_only,
    make_whole,
    read_books,
    settle,
    submit_only,
)
from usher.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("faults")]

Undisturbed = Callable[[Stream], Books]
TWO = dict.fromkeys(SERVICES, 2)
_SHARD_LOCK = 0x55534801


def _shards_by_owner(mesh: Mesh) -> list[int]:
    """How many shards each process holds, as PostgreSQL's locks say, in ascending order."""
    with database(mesh, "ingest") as (connection, _):
        rows = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY pid",
            (_SHARD_LOCK,),
        )
        return sorted(int(row[0]) for row in rows)


def _wait_for_shards(mesh: Mesh, wanted: list[int]) -> None:
    end = time.monotonic() + 20
    while (found := _shards_by_owner(mesh)) != wanted:
        assert time.monotonic() < end, f"shards are held as {found}, not {wanted}"
        time.sleep(0.1)


def test_replicas_decide_as_one_process_does(
    tmp_path: Path, postgres_url: str, redis_url: str, undisturbed: Undisturbed
) -> None:
    stream, ledger = Stream(11, 96, "replicas"), Ledger()
    with Mesh(tmp_path, replicas=TWO, database_url=postgres_url, redis_url=redis_url, env=PATIENT) as mesh:
        targets = mesh.targets("ingest")
        assert len(targets) == 2
        Traffic(stream, ledger, targets, door=decide_only, each=30, pause=0.0).finish()
        settle(mesh)
        books = read_books(mesh)
        wrong = check_books(books, ledger, stream)
        for target in range(2):
            with mesh.ingest(target) as front:
                wrong += check_answers(front, ledger)
    reference = undisturbed(stream)
    assert wrong + check_profiles(books, reference, stream) == []
    assert not [decision.event_id for decision in books.decisions.values() if decision.degraded]
    assert check_decisions(books, reference) == []
    assert len(reference.decisions) >= len(books.decisions) > 2_000
    assert ledger.resent == 0


def test_one_takes_over_the_shards_of_the_other(
    tmp_path: Path, postgres_url: str, redis_url: str, undisturbed: Undisturbed
) -> None:
    stream, ledger = Stream(12, 96, "shards"), Ledger()
    with Mesh(tmp_path, replicas=TWO, database_url=postgres_url, redis_url=redis_url, env=PATIENT) as mesh:
        _wait_for_shards(mesh, [SHARDS // 2, SHARDS // 2])
        targets = mesh.targets("ingest")
        Traffic(stream, ledger, targets, door=submit_only, each=15, pause=0.0).finish()
        with Traffic(stream, ledger, targets, door=submit_only):
            time.sleep(0.5)
            mesh.kill("ingest", 0)
            before = ledger.doors["submit"]
            end = time.monotonic() + 60
            while ledger.doors["submit"] < before + 200:
                assert time.monotonic() < end, "the other process accepts nothing"
                time.sleep(0.1)
        _wait_for_shards(mesh, [SHARDS])
        settle(mesh)
        make_whole(stream, ledger, [mesh.target("ingest", 1)])
        settle(mesh)
        with mesh.ingest(1) as front:
            books = read_books(mesh, front)
            wrong = check_books(books, ledger, stream) + check_answers(front, ledger)
        # The other one comes back and gets its share again.
        mesh.start("ingest", 0)
        _wait_for_shards(mesh, [SHARDS // 2, SHARDS // 2])
    assert wrong + check_profiles(books, undisturbed(stream), stream) == []
    assert ledger.resent > 0


def test_the_same_event_at_both_doors_of_two_processes(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    stream = Stream(13, 64, "twice")
    stream.invalid = 0.0
    answers: dict[str, set[bytes]] = {}
    with (
        Mesh(tmp_path, replicas=TWO, database_url=postgres_url, redis_url=redis_url, env=PATIENT) as mesh,
        mesh.ingest(0) as first,
        mesh.ingest(1) as second,
        ThreadPoolExecutor(3) as pool,
    ):
        for number in range(24):
            events = [stream.next(user) for user in range(number % 2, 64, 2)]
            at_one, at_other = (first, second) if number % 4 < 2 else (second, first)
            calls = [
                pool.submit(at_one.submit, events),
                pool.submit(at_other.decide, events),
                pool.submit(at_one.decide, events),
            ]
            accepted, *decided = [call.result() for call in calls]
            assert {result.status for result in accepted} <= {
                ingest_pb2.EVENT_STATUS_ACCEPTED,
                ingest_pb2.EVENT_STATUS_DUPLICATE,
            }
            for result in itertools.chain(*decided):
                body = result.decision.SerializeToString(deterministic=True)
                answers.setdefault(result.event_id, set()).add(body)
        settle(mesh)
        books = read_books(mesh)
    sent = {event.event_id for events in stream.made for event in events}
    assert len(sent) == 24 * 32
    assert {event_id: len(bodies) for event_id, bodies in answers.items()} == dict.fromkeys(sent, 1)
    assert set(books.decisions) == sent
    assert books.repeated == []
    assert books.accounting.balanced
    assert books.accounting.decided == len(sent)
    assert books.accounting.pending == 0
