"""What any store of ingest does, run on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.common.db import DatabaseSettings, open_database
from services.common.migrations import migrate
from services.ingest.ledger import failed_event
from services.ingest.records import (
    NO_PROFILE,
    POSITION_SHIFT,
    Commit,
    Decided,
    InboxRow,
    LostRaceError,
    Profile,
    ProfileChange,
    Receipt,
)
from services.ingest.store import Store
from services.ingest.stores import open_store
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import ingest_pb2

TENANT = "acme"
OBSERVE, ENFORCE = decision_pb2.MODE_OBSERVE, decision_pb2.MODE_ENFORCE


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ingest.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_database(DatabaseSettings(url=url), schema="ingest") as database:
        migrate(database, "ingest")
        yield open_store(database)


def key(name: str) -> bytes:
    """16 bytes, NULs and high bytes among them."""
    return (b"\x00\xff" + name.encode()).ljust(16, b"\x00")


def decided(name: str, user: str = "u1", **fields: Any) -> Decided:
    values: dict[str, Any] = {
        "key": key(name),
        "fingerprint": key("print" + name),
        "tenant": TENANT,
        "user_key": key(user),
        "event_ms": 1_795_348_800_000,
        "event_class": 1,
        "outcome": decision_pb2.OUTCOME_ALLOW,
        "flags": 0,
        "event": b"\x00event\x00" + name.encode(),
        "body": decision_pb2.Decision(event_id=name).SerializeToString(),
        "from_inbox": False,
        "sighted": True,
        **fields,
    }
    return Decided(**values)


def change(
    user: str = "u1", before: Profile = NO_PROFILE, body: bytes = b"p\x00", **fields: Any
) -> ProfileChange:
    values: dict[str, Any] = {
        "key": key(user),
        "row_id": before.row_id,
        "version": before.version,
        "devices": b"\x00dev",
        "backlog": before.backlog,
        "body": body,
        "last_position": before.last_position,
        **fields,
    }
    return ProfileChange(**values)


def row(name: str, shard: int = 0, **fields: Any) -> InboxRow:
    values: dict[str, Any] = {
        "key": key(name),
        "fingerprint": key("print" + name),
        "shard": shard,
        "tenant": TENANT,
        "received_ms": 1000,
        "flags": 4,
        "traceparent": "tp",
        "payload": b"\x00pay\xff" + name.encode(),
        **fields,
    }
    return InboxRow(**values)


def rows_of(store: Store, table: str) -> int:
    with store.database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


TABLES = (
    "receipts",
    "inbox",
    "decisions",
    "bodies",
    "profiles",
    "failed",
    "outbox",
    "counters",
    "unsighted",
    "imports",
)


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, to see that nothing was written."""
    with store.database.reading() as connection:
        return {
            name: sorted(
                tuple(bytes(v) if isinstance(v, memoryview) else v for v in one)
                for one in connection.exec_driver_sql(f"SELECT * FROM {name}")
            )
            for name in (*TABLES, "head")
        }


# -- commit and look up ------------------------------------------------------------------------------


def test_what_was_committed_is_looked_up(store: Store) -> None:
    one, two = decided("a"), decided("b", "u2")
    committed = store.commit(Commit(decided=[one, two], profiles=[change("u1"), change("u2", body=b"")]))
    first, second = committed.positions
    assert second == first + 1
    found = store.look_up([key("a"), key("b"), key("c")], [key("u1"), key("u2"), key("u3")])
    assert found.receipts == {
        key("a"): Receipt(one.fingerprint, first),
        key("b"): Receipt(two.fingerprint, second),
    }
    assert found.pending == {}
    assert found.profiles == committed.profiles
    assert set(found.profiles) == {key("u1"), key("u2")}
    profile = found.profiles[key("u1")]
    assert profile.row_id > 0
    assert (profile.version, profile.last_position, profile.devices) == (1, first, b"\x00dev")
    assert (profile.backlog, profile.body) == (b"", b"p\x00")
    assert found.profiles[key("u2")].body == b""
    assert store.decisions_at([first, second, 5]) == dict(
        zip(committed.positions, committed.decisions, strict=True)
    )
    assert store.events_at([first]) == {first: one.event}
    assert store.find(key("a")) == (first, committed.decisions[0], one.event)
    assert store.find(key("c")) is None


def test_the_commit_stamps_position_and_time(store: Store) -> None:
    committed = store.commit(Commit(decided=[decided("a")], profiles=[change()]))
    decision = decision_pb2.Decision.FromString(committed.decisions[0])
    assert decision.event_id == "a"
    assert decision.position == committed.positions[0]
    assert decision.decided_time.ToMilliseconds() == committed.positions[0] >> POSITION_SHIFT


def test_positions_grow(store: Store) -> None:
    positions: list[int] = []
    for number in range(5):
        batch = [decided(f"e{number}.{i}", f"u{number}.{i}") for i in range(number + 1)]
        changes = [change(f"u{number}.{i}") for i in range(number + 1)]
        positions += store.commit(Commit(decided=batch, profiles=changes)).positions
    assert positions == sorted(set(positions))
    assert store.last_position() == positions[-1]


def test_a_viewers_decisions_are_chained(store: Store) -> None:
    first = store.commit(
        Commit(decided=[decided("a"), decided("x", "u2"), decided("b")], profiles=[change(), change("u2")])
    )
    profile = first.profiles[key("u1")]
    assert profile.last_position == first.positions[2]
    second = store.commit(Commit(decided=[decided("c")], profiles=[change(before=profile)]))
    with store.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT position, previous FROM decisions")
        previous = {one[0]: one[1] for one in rows}
    a, x, b = first.positions
    [c] = second.positions
    assert previous == {a: 0, x: 0, b: a, c: b}
    listed = store.list_decisions(TENANT, 1 << 62, 10, 0, key("u1"))
    assert [position for position, _ in listed] == [c, b, a]
    assert [p for p, _ in store.list_decisions(TENANT, b, 10, 0, key("u1"))] == [a]
    assert [p for p, _ in store.list_decisions(TENANT, 1 << 62, 2, 0, None)] == [c, b]


@pytest.mark.parametrize("number", [1, 2, 3, 100, 255, 256, 257, 511, 1000])
def test_batches_of_any_size(store: Store, number: int) -> None:
    batch = [decided(f"e{i}", f"u{i}") for i in range(number)]
    first = store.commit(Commit(decided=batch, profiles=[change(f"u{i}") for i in range(number)]))
    assert len(first.positions) == len(set(first.positions)) == number
    keys, users = [key(f"e{i}") for i in range(number)], [key(f"u{i}") for i in range(number)]
    found = store.look_up(keys, users)
    assert [found.receipts[k].position for k in keys] == first.positions
    assert found.profiles == first.profiles
    again = [decided(f"f{i}", f"u{i}") for i in range(number)]
    changes = [change(f"u{i}", found.profiles[key(f"u{i}")], b"%d" % i) for i in range(number)]
    second = store.commit(Commit(decided=again, profiles=changes))
    after = store.look_up([], users).profiles
    assert after == second.profiles
    assert [after[u].body for u in users] == [b"%d" % i for i in range(number)]
    assert {after[u].version for u in users} == {2}
    assert [after[u].row_id for u in users] == [found.profiles[u].row_id for u in users]


def test_an_empty_transaction_is_one(store: Store) -> None:
    before = everything(store)
    committed = store.commit(Commit())
    assert (committed.decisions, committed.profiles, committed.outbox_ids) == ([], {}, [])
    after = everything(store)
    del before["head"], after["head"]
    assert after == before
    assert store.look_up([], []).receipts == {}
    assert store.decisions_at([]) == {}


def test_blobs_come_back_as_they_went(store: Store) -> None:
    blob = bytes(range(256)) * 300
    one = decided("a", event=blob)
    body = change(body=blob, devices=bytes(range(64)), backlog=b"\x00" * 16)
    committed = store.commit(Commit(decided=[one], profiles=[body]))
    profile = store.look_up([], [key("u1")]).profiles[key("u1")]
    assert (profile.body, profile.devices, profile.backlog) == (blob, bytes(range(64)), b"\x00" * 16)
    assert store.events_at(committed.positions) == {committed.positions[0]: blob}


def test_unfolded_positions_join_the_backlog(store: Store) -> None:
    first = store.commit(
        Commit(
            decided=[decided("a"), decided("x", "u2"), decided("b")],
            profiles=[change(unfolded=(0, 2)), change("u2")],
        )
    )
    a, _, b = first.positions
    profile = store.look_up([], [key("u1")]).profiles[key("u1")]
    assert profile.backlog == a.to_bytes(8, "little") + b.to_bytes(8, "little")
    second = store.commit(Commit(decided=[decided("c")], profiles=[change(before=profile, unfolded=(0,))]))
    [c] = second.positions
    assert second.profiles[key("u1")].backlog == profile.backlog + c.to_bytes(8, "little")
    assert first.profiles[key("u2")].backlog == b""


# -- races -------------------------------------------------------------------------------------------


def full_commit(*decisions: Decided, changes: list[ProfileChange]) -> Commit:
    """A transaction that touches every table."""
    return Commit(
        decided=list(decisions),
        profiles=changes,
        failed=[failed_event(TENANT, "f", b"\x00", [], 1000)],
        outbox=[("alerts", "", b"m")],
        counts={(TENANT, "decided"): 1},
        sighted_ms=99,
        imports={(TENANT, "i"): 5},
        inbox_done=[key("waiting")],
    )


def test_a_receipt_that_is_there_loses_the_race_and_nothing_is_written(store: Store) -> None:
    store.accept([row("waiting")], Commit())
    committed = store.commit(Commit(decided=[decided("a")], profiles=[change()]))
    before = everything(store)
    changes = [change(before=committed.profiles[key("u1")]), change("u2")]
    with pytest.raises(LostRaceError) as lost:
        store.commit(full_commit(decided("new", "u2"), decided("a", sighted=False), changes=changes))
    assert lost.value.keys == ()
    assert everything(store) == before


def test_a_profile_that_moved_loses_the_race_and_nothing_is_written(store: Store) -> None:
    store.accept([row("waiting")], Commit())
    stale = store.commit(Commit(decided=[decided("a")], profiles=[change()])).profiles[key("u1")]
    store.commit(Commit(decided=[decided("b")], profiles=[change(before=stale)]))
    before = everything(store)
    with pytest.raises(LostRaceError) as lost:
        store.commit(
            full_commit(
                decided("c"), decided("d", "u2"), changes=[change("u2"), change(before=stale, body=b"!")]
            )
        )
    assert key("u1") in lost.value.keys
    assert everything(store) == before


def test_a_profile_that_somebody_made_meanwhile_loses_the_race(store: Store) -> None:
    store.commit(Commit(decided=[decided("a")], profiles=[change()]))
    before = everything(store)
    with pytest.raises(LostRaceError) as lost:
        store.commit(Commit(decided=[decided("b")], profiles=[change()]))
    assert key("u1") in lost.value.keys
    assert everything(store) == before


def test_of_two_writers_at_once_one_loses(store: Store) -> None:
    base = store.commit(Commit(decided=[decided("a")], profiles=[change()])).profiles[key("u1")]
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def write(name: str) -> None:
        barrier.wait()
        try:
            store.commit(Commit(decided=[decided(name)], profiles=[change(before=base)]))
            outcomes.append("written")
        except LostRaceError:
            outcomes.append("lost")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "written"]
    assert store.look_up([], [key("u1")]).profiles[key("u1")].version == 2
    assert rows_of(store, "decisions") == rows_of(store, "receipts") == 2


# -- the inbox ---------------------------------------------------------------------------------------


def counts(store: Store) -> dict[str, int]:
    return {name: n for (_, name), n in store.accounting(TENANT)[0].items()}


def test_new_rows_are_accepted_and_known_ones_told(store: Store) -> None:
    committed = store.commit(Commit(decided=[decided("done")], profiles=[change()]))
    assert store.accept([row("a"), row("b", 63)], Commit(counts={(TENANT, "received"): 2})) == {}
    known = store.accept(
        [row("a"), row("b", fingerprint=key("other")), row("done"), row("c")],
        Commit(counts={(TENANT, "received"): 4}),
    )
    assert known == {
        key("a"): key("printa"),
        key("b"): key("printb"),
        key("done"): Receipt(key("printdone"), committed.positions[0]),
    }
    assert counts(store) == {"received": 6, "accepted": 3, "duplicate": 2, "conflict": 1}
    assert store.look_up([key("a"), key("done"), key("z")], []).pending == {key("a"): key("printa")}
    assert store.is_pending(key("a"))
    assert not store.is_pending(key("done"))
    assert rows_of(store, "inbox") == 3


def test_waiting_rows_are_read_by_shard_oldest_first(store: Store) -> None:
    rows = [row("a", 1), row("b", 2), row("c", 1), row("d", 63, traceparent="")]
    store.accept(rows, Commit())
    assert store.inbox_rows([1, 2, 63], 10) == rows
    assert store.inbox_rows([1], 10) == [rows[0], rows[2]]
    assert store.inbox_rows([1, 2], 2) == rows[:2]
    assert store.inbox_rows([], 10) == []


def test_the_failed_events_of_an_acceptance_are_kept_with_it(store: Store) -> None:
    failed = failed_event(TENANT, "bad", b"\x00", [], 1000)
    store.accept([row("a")], Commit(failed=[failed], counts={(TENANT, "failed"): 1}))
    assert store.failed_event(TENANT, failed.failed_id) == failed


def test_a_decided_row_leaves_the_inbox_exactly_once(store: Store) -> None:
    store.accept([row("a"), row("b")], Commit())
    committed = store.commit(Commit(decided=[decided("a", from_inbox=True)], profiles=[change()]))
    assert [r.key for r in store.inbox_rows([0], 10)] == [key("b")]
    before = everything(store)
    profile = committed.profiles[key("u1")]
    with pytest.raises(LostRaceError):
        # Its row is not there: somebody else ended it.
        store.commit(Commit(decided=[decided("gone", from_inbox=True)], profiles=[change(before=profile)]))
    assert everything(store) == before


def test_superseded_is_counted_only_for_rows_that_were_there(store: Store) -> None:
    store.accept([row("a")], Commit())
    store.commit(Commit(superseded=[(TENANT, key("a")), (TENANT, key("never"))]))
    assert counts(store) == {"accepted": 1, "superseded": 1}
    store.commit(Commit(superseded=[(TENANT, key("a"))]))
    assert counts(store)["superseded"] == 1
    assert rows_of(store, "inbox") == 0


def test_a_failed_row_leaves_the_inbox(store: Store) -> None:
    store.accept([row("a"), row("b")], Commit())
    store.commit(Commit(inbox_done=[key("a")], counts={(TENANT, "failed"): 1}))
    assert [r.key for r in store.inbox_rows([0], 10)] == [key("b")]


@pytest.mark.parametrize("number", [257, 1000])
def test_many_rows_at_once(store: Store, number: int) -> None:
    store.accept([row(f"e{i}") for i in range(number)], Commit())
    assert len(store.look_up([key(f"e{i}") for i in range(number)], []).pending) == number
    batch = [decided(f"e{i}", f"u{i}", from_inbox=True) for i in range(number)]
    store.commit(Commit(decided=batch, profiles=[change(f"u{i}") for i in range(number)]))
    assert rows_of(store, "inbox") == 0


# -- the books ---------------------------------------------------------------------------------------


def test_counters_add_up_by_tenant(store: Store) -> None:
    store.commit(
        Commit(counts={(TENANT, "received"): 3, ("zoo", "received"): 5, (TENANT, "refused:TOO_OLD"): 1})
    )
    store.commit(Commit(counts={(TENANT, "received"): 4, (TENANT, "nothing"): 0}))
    store.accept([row("a", received_ms=700), row("b", received_ms=500)], Commit())
    every, pending = store.accounting(None)
    assert every == {
        (TENANT, "received"): 7,
        (TENANT, "refused:TOO_OLD"): 1,
        (TENANT, "accepted"): 2,
        ("zoo", "received"): 5,
    }
    assert pending == {TENANT: (2, 500)}
    assert store.accounting("zoo") == ({("zoo", "received"): 5}, {})


def test_the_books_are_read_in_one_snapshot(store: Store) -> None:
    """Counters and inbox are read while a writer moves events from one to the other."""
    stop = threading.Event()
    wrong: list[tuple[int, int]] = []

    def read() -> None:
        while not stop.is_set():
            books, pending = store.accounting(TENANT)
            accepted = books.get((TENANT, "accepted"), 0)
            ended = books.get((TENANT, "failed"), 0)
            if accepted != ended + pending.get(TENANT, (0, 0))[0]:
                wrong.append((accepted, ended))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        store.accept([row(f"e{number}")], Commit())
        store.commit(Commit(inbox_done=[key(f"e{number}")], counts={(TENANT, "failed"): 1}))
    stop.set()
    reader.join()
    assert wrong == []


def test_failed_events_page_newest_first(store: Store) -> None:
    failed = [failed_event(TENANT, f"e{i}", b"\x00", [], 1000) for i in range(5)]
    foreign = failed_event("zoo", "z", b"", [], 1000)
    store.commit(Commit(failed=[*failed[:3], foreign]))
    store.commit(Commit(failed=failed[3:]))
    page = store.list_failed(TENANT, 1 << 62, 2)
    rest = store.list_failed(TENANT, page[-1].id, 10)
    ids = [row.failed.event_id for row in [*page, *rest]]
    assert ids == ["e4", "e3", "e2", "e1", "e0"]
    assert store.failed_event(TENANT, foreign.failed_id) is None
    assert store.failed_event("zoo", foreign.failed_id) == foreign


def test_a_replay_ends_a_failed_event_once(store: Store) -> None:
    failed = failed_event(TENANT, "e", b"\x00", [], 1000)
    store.commit(Commit(failed=[failed], counts={(TENANT, "failed"): 1}))
    store.commit(Commit(replayed=[(TENANT, failed.failed_id)], counts={(TENANT, "decided"): 1}))
    books, _ = store.accounting(TENANT)
    assert (books[(TENANT, "failed")], books[(TENANT, "decided")], books[(TENANT, "replayed")]) == (0, 1, 1)
    with pytest.raises(LostRaceError):
        store.commit(Commit(replayed=[(TENANT, failed.failed_id)], counts={(TENANT, "decided"): 1}))
    assert store.accounting(TENANT)[0] == books
    # Found to be decided after all: nothing is counted twice either.
    store.commit(Commit(replays_superseded=[(TENANT, failed.failed_id)]))
    assert store.accounting(TENANT)[0] == books
    kept = store.failed_event(TENANT, failed.failed_id)
    assert kept is not None
    assert (kept.replayed, kept.replays) == (True, 1)


def test_a_replay_that_found_its_event_decided_is_superseded(store: Store) -> None:
    failed = failed_event(TENANT, "e", b"\x00", [], 1000)
    store.commit(Commit(failed=[failed], counts={(TENANT, "failed"): 1}))
    for _ in range(2):
        store.commit(Commit(replays_superseded=[(TENANT, failed.failed_id)]))
    books, _ = store.accounting(TENANT)
    assert (books[(TENANT, "failed")], books[(TENANT, "superseded")]) == (0, 1)


def test_a_replay_that_failed_again_is_noted(store: Store) -> None:
    failed = failed_event(TENANT, "e", b"\x00", [], 1000)
    store.commit(Commit(failed=[failed]))
    store.note_replay(TENANT, failed.failed_id, ingest_pb2.Failure(reason="UNDECIDABLE"))
    kept = store.failed_event(TENANT, failed.failed_id)
    assert kept is not None
    assert (kept.replayed, kept.replays, kept.replay_failure.reason) == (False, 1, "UNDECIDABLE")


def test_a_failed_event_written_again_is_kept_once(store: Store) -> None:
    failed = failed_event(TENANT, "e", b"\x00", [], 1000)
    store.commit(Commit(failed=[failed]))
    store.commit(Commit(failed=[failed]))
    assert rows_of(store, "failed") == 1


# -- the outbox --------------------------------------------------------------------------------------


def test_messages_are_claimed_when_due_and_leased(store: Store) -> None:
    ids = store.commit(Commit(outbox=[("alerts", "tp", b"\x00a"), ("alerts", "", b"b")])).outbox_ids
    assert len(set(ids)) == 2
    assert store.outbox_depth() == 2
    assert store.claim_outbox(1000, 10_000, 10) == [], "the process that committed delivers first"
    due = (store.last_position() >> POSITION_SHIFT) + 60_000
    [one] = store.claim_outbox(due, 10_000, 1)
    assert (one.id, one.topic, one.traceparent, one.body, one.attempts) == (
        ids[0],
        "alerts",
        "tp",
        b"\x00a",
        1,
    )
    assert [r.id for r in store.claim_outbox(due, 10_000, 10)] == [ids[1]]
    assert store.claim_outbox(due + 9_999, 10_000, 10) == []
    again = store.claim_outbox(due + 10_000, 10_000, 10)
    assert [(r.id, r.attempts) for r in again] == [(ids[0], 2), (ids[1], 2)]
    store.postpone_outbox({ids[0]: due + 500})
    assert [r.id for r in store.claim_outbox(due + 500, 10_000, 10)] == [ids[0]]
    store.commit(Commit(outbox_done=ids))
    assert store.outbox_depth() == 0
    store.commit(Commit(outbox_done=ids))


# -- what fraud saw ----------------------------------------------------------------------------------


def test_unseen_events_are_noted_until_they_were_given(store: Store) -> None:
    batch = [decided("a", sighted=False), decided("b"), decided("c", sighted=False)]
    a, _, c = store.commit(Commit(decided=batch, profiles=[change()], sighted_ms=0)).positions
    assert store.unsighted(10) == [a, c]
    assert store.unsighted(1) == [a]
    assert store.sighted_ms() == 0
    store.commit(Commit(seen_at_last=[a], sighted_ms=500))
    assert store.unsighted(10) == [c]
    assert store.sighted_ms() == 500
    store.commit(Commit(sighted_ms=400))
    assert store.sighted_ms() == 500, "it never goes back"


def test_events_since_a_time_come_oldest_first(store: Store) -> None:
    first = store.commit(
        Commit(decided=[decided("a", flags=8), decided("b", tenant="zoo")], profiles=[change()])
    )
    a, b = first.positions
    rows = store.sighted_since(0, 0, 10)
    assert rows == [(a, TENANT, 8, b"\x00event\x00a"), (b, "zoo", 0, b"\x00event\x00b")]
    assert [r[0] for r in store.sighted_since(0, a, 10)] == [b]
    assert [r[0] for r in store.sighted_since(0, 0, 1)] == [a]
    ms = b >> POSITION_SHIFT
    assert store.sighted_since(ms + 1, 0, 10) == []
    assert [r[0] for r in store.sighted_since(ms - 1, 0, 10)] == [a, b]


def test_the_newest_of_an_import_never_goes_back(store: Store) -> None:
    store.commit(Commit(imports={(TENANT, "i"): 100, ("zoo", "i"): 7}))
    store.commit(Commit(imports={(TENANT, "i"): 50}))
    assert store.newest_of_imports() == {(TENANT, "i"): 100, ("zoo", "i"): 7}
    store.commit(Commit(imports={(TENANT, "i"): 150}))
    assert store.newest_of_imports()[(TENANT, "i")] == 150


# -- modes, policy sets, reading ---------------------------------------------------------------------


def test_modes(store: Store) -> None:
    assert store.modes() == {}
    store.set_modes(TENANT, [0, 1, 2], ENFORCE, "ann", 1)
    store.set_modes(TENANT, [1], OBSERVE, "bob", 2)
    store.set_modes("zoo", [1], ENFORCE, "ann", 3)
    assert store.modes() == {
        (TENANT, 0): ENFORCE,
        (TENANT, 1): OBSERVE,
        (TENANT, 2): ENFORCE,
        ("zoo", 1): ENFORCE,
    }


def test_activations(store: Store) -> None:
    assert store.active_policy_set() is None
    assert store.activate_policy_set("ps_1", "ann", 100) == 100
    assert store.activate_policy_set("ps_1", "bob", 200) == 100
    assert store.activate_policy_set("ps_2", "bob", 300) == 300
    assert store.activate_policy_set("ps_1", "ann", 400) == 400
    assert store.active_policy_set() == ("ps_1", 400)
    listed = store.list_activations(1 << 62, 10)
    assert [one[1:] for one in listed] == [("ps_1", 400, "ann"), ("ps_2", 300, "bob"), ("ps_1", 100, "ann")]
    assert store.list_activations(listed[0][0], 1) == [listed[1]]


def test_decisions_after_a_position_are_a_tenants_own_in_order(store: Store) -> None:
    batch = [decided("a"), decided("z", tenant="zoo"), decided("b"), decided("c")]
    committed = store.commit(Commit(decided=batch, profiles=[change()]))
    a, _, b, c = committed.positions
    assert [p for p, _ in store.decisions_after(TENANT, 0, 10)] == [a, b, c]
    assert store.decisions_after(TENANT, a, 1) == [(b, committed.decisions[2])]
    assert store.decisions_after(TENANT, c, 10) == []


def test_decisions_are_listed_by_outcome(store: Store) -> None:
    outcomes = [1, 2, 3, 4]
    batch = [decided(f"e{o}", outcome=o) for o in outcomes]
    positions = store.commit(Commit(decided=batch, profiles=[change()])).positions
    for minimum in outcomes:
        wanted = [p for p, o in zip(positions, outcomes, strict=True) if o >= minimum][::-1]
        for user in (None, key("u1")):
            assert [p for p, _ in store.list_decisions(TENANT, 1 << 62, 10, minimum, user)] == wanted


def test_rows_survive_reopening(url: str) -> None:
    with open_database(DatabaseSettings(url=url), schema="ingest") as database:
        migrate(database, "ingest")
        store = open_store(database)
        committed = store.commit(Commit(decided=[decided("a")], profiles=[change()]))
    with open_database(DatabaseSettings(url=url), schema="ingest") as database:
        migrate(database, "ingest")
        store = open_store(database)
        assert store.look_up([key("a")], [key("u1")]).profiles == committed.profiles
        # A new viewer's row has another number than those that are there.
        other = store.commit(Commit(decided=[decided("b", "u2")], profiles=[change("u2")]))
        assert other.profiles[key("u2")].row_id != committed.profiles[key("u1")].row_id


def test_maintenance_may_run_at_any_time(store: Store) -> None:
    day_ms = 86_400_000
    store.commit(Commit(decided=[decided("early")], profiles=[change("early")]))
    now = store.last_position() >> POSITION_SHIFT
    store.maintain(now)
    store.maintain(now)
    store.maintain(now + day_ms)
    store.commit(Commit(decided=[decided("a")], profiles=[change()]))
    assert store.find(key("early")) is not None
    assert store.find(key("a")) is not None


def test_postgresql_puts_rows_into_the_partition_of_their_day(postgres_url: str) -> None:
    day_ms = 86_400_000
    with open_database(DatabaseSettings(url=postgres_url), schema="ingest") as database:
        migrate(database, "ingest")
        store = open_store(database)
        store.commit(Commit())
        today = (store.last_position() >> POSITION_SHIFT) // day_ms
        store.maintain(today * day_ms)
        with database.reading() as connection:
            names = set(
                connection.exec_driver_sql(
                    "SELECT relid::regclass::text FROM pg_partition_tree('decisions') WHERE isleaf "
                    "UNION SELECT relid::regclass::text FROM pg_partition_tree('bodies') WHERE isleaf"
                ).scalars()
            )
        assert names == {
            f"{table}_{part}"
            for table in ("decisions", "bodies")
            for part in ("default", f"d{today}", f"d{today + 1}", f"d{today + 2}")
        }
        store.commit(Commit(decided=[decided("a")], profiles=[change()]))
        with database.reading() as connection:
            for table in ("decisions", "bodies"):
                where = connection.exec_driver_sql(f"SELECT tableoid::regclass::text FROM {table}").scalar()
                assert where in (f"{table}_d{today}", f"{table}_d{today + 1}")


def test_sqlite_uses_the_index_of_a_tenants_failed_events(tmp_path: Path) -> None:
    with open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/a.db"), schema="ingest") as database:
        migrate(database, "ingest")
        with database.reading() as connection:
            plan = connection.execute(
                sa.text(
                    "EXPLAIN QUERY PLAN SELECT id FROM failed WHERE tenant = 'a' AND id < 9 ORDER BY id DESC"
                )
            ).all()
        assert "failed_by_tenant" in str(plan)
