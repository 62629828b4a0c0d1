"""Whom an entry concerns, counted from events."""

from __future__ import annotations

import pytest

from services.ingest import listed
from services.ingest.affected import Tally
from services.ingest.listed import ADDRESS, BLOCK, LIMIT, USER
from usher.event.v1 import event_pb2
from usher.ingest.v1 import lists_pb2


def seen(user: str, address: str, event_type: str = "login", second: int = 0) -> bytes:
    event = event_pb2.Event(user_id=user, ip_address=address, event_type=event_type)
    event.event_time.FromSeconds(1_795_000_000 + second)
    return event.SerializeToString()


@pytest.mark.parametrize(
    ("entity", "users"),
    [
        ("203.0.113.7/32", ["a", "b"]),
        ("203.0.113.0/24", ["a", "b", "c"]),
        ("2001:db8:1:2::/64", ["d"]),
        ("198.51.100.1/32", []),
    ],
)
def test_accounts_seen_within_the_network_are_counted(entity: str, users: list[str]) -> None:
    tally = Tally(ADDRESS, entity)
    tally.add(
        [
            seen("a", "203.0.113.7", "play", 3),
            seen("b", "203.0.113.7", second=2),
            seen("a", "203.0.113.7", second=1),
            # Its text begins with the address, and it is another one.
            seen("c", "203.0.113.77"),
            seen("d", "2001:db8:1:2::9"),
        ]
    )
    found = tally.accounts(20, complete=True)
    assert [one.user_id for one in found.accounts] == users
    assert (found.account_count, found.events_read, found.complete) == (len(users), 5, True)
    assert found.watching == (1 if "a" in users else 0)
    if "a" in users:
        assert (found.accounts[0].events, found.accounts[0].last_time.seconds) == (2, 1_795_000_003)


def test_more_than_are_named_are_counted() -> None:
    tally = Tally(USER, "u1")
    tally.add([seen("u1", "203.0.113.7"), seen("u10", "203.0.113.7")])
    assert tally.accounts(20, complete=True).account_count == 1
    many = Tally(ADDRESS, "203.0.113.7/32")
    many.add([seen(f"u{n}", "203.0.113.7") for n in range(30)])
    found = many.accounts(20, complete=False)
    assert (len(found.accounts), found.account_count, found.complete) == (20, 30, False)


@pytest.mark.parametrize(
    ("kind", "watching", "expected"),
    [(BLOCK, 3, BLOCK), (BLOCK, 4, LIMIT), (LIMIT, 0, LIMIT), (LIMIT, 9, LIMIT)],
)
def test_an_address_where_several_watch_is_not_blocked(kind: int, watching: int, expected: int) -> None:
    entry = lists_pb2.ListEntry(
        kind=kind,  # type: ignore[arg-type]
        reason="stuffing",
        proposed=True,
        limit_per_hour=listed.AUTOMATIC_LIMIT if kind == LIMIT else 0,
    )
    found = listed.judged(entry, lists_pb2.AffectedAccounts(watching=watching))
    assert (found.kind, found.proposed, found.affected.watching) == (expected, False, watching)
    assert (found.limit_per_hour > 0) == (expected == LIMIT)
    assert entry.proposed, "what was proposed is not changed"
