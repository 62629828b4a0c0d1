"""What passes between the pipeline and the store. Plain data; the store gives it a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from usher.ingest.v1 import ingest_pb2, lists_pb2

POSITION_SHIFT = 20
"""Positions are milliseconds << 20 | counter: about a million a millisecond, until the year 2248 in 63 bits."""


ERASED = 0
"""Position in the receipt of an event whose decision was erased."""


class Receipt(NamedTuple):
    """Proof that an event was decided."""

    fingerprint: bytes
    position: int


class Profile(NamedTuple):
    """A viewer's row as it was read."""

    row_id: int
    """0: no row yet."""
    version: int
    last_position: int
    devices: bytes
    backlog: bytes
    body: bytes
    facts: bytes = b""
    """Serialised usher.event.v1.AccountFacts that the platform told; decisions carry it on."""


NO_PROFILE = Profile(0, 0, 0, b"", b"", b"")


class InboxRow(NamedTuple):
    """An event accepted at the Submit door and not yet decided."""

    key: bytes
    fingerprint: bytes
    shard: int
    tenant: str
    received_ms: int
    flags: int
    traceparent: str
    payload: bytes


class LookUp(NamedTuple):
    """What step 3 found."""

    receipts: dict[bytes, Receipt]
    pending: dict[bytes, bytes]
    """Fingerprints of events that wait in the inbox, by key."""
    profiles: dict[bytes, Profile]


class Decided(NamedTuple):
    """One decision to commit."""

    key: bytes
    fingerprint: bytes
    tenant: str
    user_key: bytes
    event_ms: int
    event_class: int
    outcome: int
    flags: int
    event: bytes
    body: bytes
    """The decision without position and time, which the commit appends."""
    from_inbox: bool
    sighted: bool


class ProfileChange(NamedTuple):
    """A viewer's row to write: made new where `row_id` is 0, else replaced if its version is still `version`."""

    key: bytes
    row_id: int
    version: int
    devices: bytes
    backlog: bytes
    body: bytes
    last_position: int
    """As it was read; the commit moves it to the viewer's newest decision."""
    unfolded: tuple[int, ...] = ()
    """Indices in Commit.decided whose positions join the backlog."""
    facts: bytes = b""
    """As they were read: a commit does not write them."""


@dataclass(slots=True)
class Commit:
    """One transaction."""

    decided: list[Decided] = field(default_factory=list)
    profiles: list[ProfileChange] = field(default_factory=list)
    failed: list[ingest_pb2.FailedEvent] = field(default_factory=list)
    inbox_done: list[bytes] = field(default_factory=list)
    """Keys of inbox rows that end without a decision of this commit: failed, or superseded."""
    superseded: list[tuple[str, bytes]] = field(default_factory=list)
    """Tenant and key of inbox rows found to be decided elsewhere; counted only if the row was still there."""
    replayed: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and failed id of what was replayed: it moves from failed to decided. Lost where another replay was first."""
    replays_superseded: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and failed id of replays whose event was found to be decided: they move from failed to superseded."""
    outbox: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Topic, traceparent, body."""
    outbox_done: list[int] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    sighted_ms: int = 0
    seen_at_last: list[int] = field(default_factory=list)
    """Positions that fraud has been given after all."""
    imports: dict[tuple[str, str], int] = field(default_factory=dict)
    listed: list[tuple[str, lists_pb2.ListEntry]] = field(default_factory=list)
    """Tenant and list entry that the mesh sets by itself."""


class Committed(NamedTuple):
    """What a commit gave."""

    positions: list[int]
    decisions: list[bytes]
    """Serialised decisions as stored, in the order of Commit.decided."""
    profiles: dict[bytes, Profile]
    outbox_ids: list[int]


class LostRaceError(Exception):
    """Another writer was first: nothing was written; look up again and decide again.

    `keys` are user keys whose rows moved; empty where a receipt appeared instead.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        super().__init__("another writer was first")
        self.keys = tuple(keys)


class FailedRow(NamedTuple):
    """A row of failed events."""

    id: int
    failed: ingest_pb2.FailedEvent
    """Opened, with what is known of its replays."""


class OutboxRow(NamedTuple):
    """A message to deliver."""

    id: int
    topic: str
    attempts: int
    traceparent: str
    body: bytes


def moved_profiles(commit: Commit, first: int) -> list[tuple[ProfileChange, int, bytes]]:
    """Each change with the viewer's newest position after the commit and its backlog with the new positions in it."""
    newest: dict[bytes, int] = {}
    for index, decided in enumerate(commit.decided):
        newest[decided.user_key] = first + index
    return [
        (
            change,
            newest.get(change.key, change.last_position),
            change.backlog + b"".join((first + i).to_bytes(8, "little") for i in change.unfolded),
        )
        for change in commit.profiles
    ]


def previous_positions(commit: Commit, first: int) -> list[int]:
    """The position of each decision's viewer's decision before."""
    last = {change.key: change.last_position for change in commit.profiles}
    previous = []
    for index, decided in enumerate(commit.decided):
        previous.append(last.get(decided.user_key, 0))
        last[decided.user_key] = first + index
    return previous
