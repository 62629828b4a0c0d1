"""Side entries of the books: written once, in one transaction or another, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.common.clock import ManualClock
from services.common.errors import FieldViolation, Unavailable
from services.ingest.ledger import Ledger, failed_event
from services.ingest.records import Commit


class FakeDatabase:
    """Runs what it is given when the test lets it."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[Exception] = []

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return fn(*args)


class FakeStore:
    """Remembers transactions."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        self.commits: list[Commit] = []

    def commit(self, commit: Commit) -> None:
        self.commits.append(commit)


@pytest.fixture
async def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def ledger(store: FakeStore) -> Ledger:
    return Ledger(store, ManualClock(0))  # type: ignore[arg-type]


def failed() -> Any:
    return failed_event("acme", "e1", b"x", [FieldViolation("f", "MISSING", "m")], 1500)


async def test_counts_add_up_and_are_written_once(ledger: Ledger, store: FakeStore) -> None:
    ledger.count("acme", "duplicate")
    ledger.count("acme", "duplicate", 2)
    ledger.refuse("acme", "TOO_OLD", 4)
    await ledger.flush()
    await ledger.flush()
    [commit] = store.commits
    assert commit.counts == {
        ("acme", "duplicate"): 3,
        ("acme", "received"): 4,
        ("acme", "refused:TOO_OLD"): 4,
    }


async def test_a_failed_event_is_accepted_or_was_before(ledger: Ledger, store: FakeStore) -> None:
    ledger.fail(failed())
    ledger.fail(failed(), inbox_key=b"k")
    await ledger.flush()
    [commit] = store.commits
    assert commit.counts == {("acme", "received"): 1, ("acme", "accepted"): 1, ("acme", "failed"): 2}
    assert commit.inbox_done == [b"k"]
    assert len(commit.failed) == 2


async def test_a_flush_waits_for_entries_that_another_transaction_took(
    ledger: Ledger, store: FakeStore
) -> None:
    ledger.fail(failed())
    taken = ledger.take()
    waiting = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0.01)
    assert not waiting.done(), "what it waits for is not durable yet"
    ledger.written(taken)
    await waiting
    assert store.commits == []


async def test_a_flush_writes_what_another_transaction_gave_back(ledger: Ledger, store: FakeStore) -> None:
    ledger.fail(failed())
    taken = ledger.take()
    waiting = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0.01)
    ledger.count("acme", "duplicate")
    ledger.give_back(taken)
    await waiting
    [commit] = store.commits
    assert len(commit.failed) == 1
    assert commit.counts[("acme", "failed")] == commit.counts[("acme", "duplicate")] == 1


async def test_a_flush_that_fails_keeps_its_entries(ledger: Ledger, store: FakeStore) -> None:
    store.database.errors = [Unavailable("DATABASE_BUSY", "m")]
    ledger.count("acme", "duplicate")
    with pytest.raises(Unavailable):
        await ledger.flush()
    ledger.count("acme", "duplicate")
    await ledger.flush()
    assert [c.counts for c in store.commits] == [{("acme", "duplicate"): 2}]
    assert ledger.empty


async def test_a_caller_that_gives_up_does_not_have_it_written_twice(
    ledger: Ledger, store: FakeStore
) -> None:
    store.database.gate.clear()
    ledger.fail(failed())
    waiting = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.sleep(0.01)
    store.database.gate.set()
    await ledger.flush()
    assert [len(c.failed) for c in store.commits] == [1]


def test_a_failed_event_tells_everything() -> None:
    violations = [FieldViolation("region", "MISSING", "m1"), FieldViolation("user_id", "TOO_LONG", "m2")]
    one = failed_event("acme", "e1", b"payload", violations, 1500)
    assert one.failed_id.startswith("failed_")
    assert len(one.failed_id) == len("failed_") + 32
    assert (one.tenant, one.event_id, one.payload, one.component) == ("acme", "e1", b"payload", "ingest")
    assert one.failed_time.ToMilliseconds() == 1500
    assert one.failure.failed_id == one.failed_id
    assert one.failure.reason == "INVALID_EVENT"
    assert [(v.field, v.reason, v.message) for v in one.failure.violations] == [tuple(v) for v in violations]


def test_the_reason_of_a_failed_event() -> None:
    future = [FieldViolation("event_time", "IN_THE_FUTURE", "m")]
    other = [FieldViolation("region", "MISSING", "m")]
    assert failed_event("t", "e", b"", future, 0).failure.reason == "IN_THE_FUTURE"
    assert failed_event("t", "e", b"", future + other, 0).failure.reason == "INVALID_EVENT"
    assert (
        failed_event("t", "e", b"", other, 0, component="scoring", undecidable=True).failure.reason
        == "UNDECIDABLE"
    )


def test_an_event_without_an_id_is_given_one() -> None:
    one = failed_event("t", "", b"", [], 0)
    assert one.event_id == one.failed_id
