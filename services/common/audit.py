"""An append-only log whose entries are chained by hashes: a changed, removed or inserted entry shows.

Each entry's hash covers the entry and the hash before it. What the chain cannot show by itself is that the end was cut
off: for that its head is kept elsewhere (RFC 9162 calls it a tree head; here it is the last hash).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

FIRST = b"\0" * 32
"""The hash before the first entry."""


class Entry(NamedTuple):
    """Who saw or did what. Holds no name of a data subject: `subject` is a keyed hash, `object` an id of Usher's own."""

    sequence: int
    """From 1, without gaps."""
    time_ms: int
    actor: str
    tenant: str
    action: str
    object: str
    subject: str
    outcome: str


def link(before: bytes, entry: Entry) -> bytes:
    """The hash of an entry after the one with hash `before`."""
    state = hashlib.sha256(before)
    for value in entry:
        # Lengths in front, so that no two lists of values run together.
        encoded = str(value).encode()
        state.update(len(encoded).to_bytes(4, "big"))
        state.update(encoded)
    return state.digest()


def check(entries: Iterable[tuple[Entry, bytes]], before: bytes = FIRST, after: int = 0) -> tuple[int, bytes]:
    """Follows a chain of (entry, hash) from `before`; returns (first broken sequence or 0, hash of the last good entry).

    `after` is the sequence before the first entry.
    """
    for entry, written in entries:
        after += 1
        if entry.sequence != after or link(before, entry) != written:
            return after, before
        before = written
    return 0, before
