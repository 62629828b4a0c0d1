"""Ids of rings: stable through growth, merge and split. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from services.fraud.rings import Candidate


class Assignment(NamedTuple):
    """The id a candidate gets, and ids that end in it."""

    ring_id: str
    candidate: Candidate
    merged: tuple[str, ...]


def new_ring_id(tenant: str, members: Iterable[str], first_seen_ms: int) -> str:
    """Id of a ring that was never seen: "ring_" and 16 hexadecimal digits of SHA-256."""
    text = "\0".join((tenant, str(first_seen_ms), *sorted(members)))
    return "ring_" + hashlib.sha256(text.encode()).hexdigest()[:16]


def assign(
    tenant: str, candidates: Sequence[Candidate], established: Mapping[str, str], taken: Iterable[str] = ()
) -> list[Assignment]:
    """Gives each candidate its id.

    A ring keeps its id through growth. Where rings merge the smallest of their ids stays and the others end in it.
    Where a ring splits its id stays with the part that holds most of its members (of the part with the first member,
    where they are equal).

    Args:
        established: account -> id of the ring it is known to be in.
        taken: ids that exist and must not be given to a new ring.
    """
    votes = [
        Counter(established[m] for m in candidate.members if m in established) for candidate in candidates
    ]
    keeper: dict[str, int] = {}
    for number, vote in enumerate(votes):
        for ring_id, count in vote.items():
            best = keeper.get(ring_id)
            if best is None or count > votes[best][ring_id]:
                keeper[ring_id] = number
    used = set(taken) | set(established.values())
    assignments = []
    for number, (candidate, vote) in enumerate(zip(candidates, votes, strict=True)):
        kept = sorted(ring_id for ring_id in vote if keeper[ring_id] == number)
        if kept:
            assignments.append(Assignment(kept[0], candidate, tuple(kept[1:])))
            continue
        first_seen = candidate.first_seen_ms
        ring_id = new_ring_id(tenant, candidate.members, first_seen)
        while ring_id in used:
            # The same members parted and came together again: another ring in the lineage.
            first_seen += 1
            ring_id = new_ring_id(tenant, candidate.members, first_seen)
        used.add(ring_id)
        assignments.append(Assignment(ring_id, candidate, ()))
    return assignments


class Beside(NamedTuple):
    """What a look at some of the accounts may change beside rings that it cannot judge."""

    candidates: list[Candidate]
    """Groups that are rings of their own, or hold such a ring whole."""
    joins: dict[str, str]
    """Account that was in no ring -> the ring that it joins."""
    untouched: frozenset[str]
    """Accounts that stay where they are."""


def beside(
    candidates: Sequence[Candidate], established: Mapping[str, str], held: Mapping[str, frozenset[str]]
) -> Beside:
    """Parts what was found among some of the accounts from rings that were found among all of them.

    A group that holds such a ring whole is that ring, grown. One that meets a part of it brings it members, but takes none
    away: what it does not see may be why the ring is one. One that meets several says that they are one ring, which only
    a look at all of it can tell; its accounts stay where they are.

    Args:
        established: account -> id of the ring it is known to be in.
        held: id of each ring that cannot be judged -> all its members.
    """
    free: list[Candidate] = []
    joins: dict[str, str] = {}
    untouched = set().union(*held.values())
    for candidate in candidates:
        met = sorted({established[m] for m in candidate.members if m in established} & held.keys())
        if not met:
            free.append(candidate)
        elif len(met) == 1 and held[met[0]].issubset(candidate.members):
            free.append(candidate)
            untouched -= held[met[0]]
        else:
            if len(met) == 1:
                joins.update((m, met[0]) for m in candidate.members if m not in established)
            untouched.update(candidate.members)
    return Beside(free, joins, frozenset(untouched))
