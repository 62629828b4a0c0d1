"""Rings: accounts tied by the devices and payment instruments they share.

A ring is a set of at least five accounts connected by hard ties (device, payment instrument). An address never ties:
a carrier's NAT, a campus, a plane is many people behind one address. A device that more accounts use than a ring's
degree is a public one and ties nobody either (the practice of Neo4j's and other fraud graphs: cap the degree of an
identifier before connected components). Accounts that the platform itself puts into one household are one party.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from services.fraud.memory import EDGE_WINDOW_MS, PAYMENT, Component, Edge, Resource
from services.fraud.parameters import RingParameters

HOUSEHOLD_ACCOUNTS = 8
"""Largest group behind one address that may be one household: what family plans allow, with room."""


class Candidate(NamedTuple):
    """A ring as the edges show it, without an id."""

    members: tuple[str, ...]
    """Sorted."""
    score: float
    """0 to 1."""
    shared: tuple[tuple[str, str, int], ...]
    """(kind, resource, accounts), most shared first."""
    first_seen_ms: int
    """When the first tie was made: a second account came to a resource."""
    last_seen_ms: int
    innocent: tuple[str, ...]
    """Why it might be innocent."""


class Assignment(NamedTuple):
    """The id a candidate gets, and ids that end in it."""

    ring_id: str
    candidate: Candidate
    merged: tuple[str, ...]


def find_rings(component: Component, parameters: RingParameters) -> list[Candidate]:
    """Rings within one component, in order of their first member.

    Work is linear in the component's edges, which the memory bounds. Edges not seen within 30 days before the newest
    are left out.
    """
    newest = max((edge.last_ms for resource in component.resources for edge in resource.edges), default=0)
    ties: list[tuple[Resource, list[Edge]]] = []
    for resource in component.resources:
        edges = [edge for edge in resource.edges if edge.last_ms > newest - EDGE_WINDOW_MS]
        if not resource.saturated and 2 <= len(edges) <= parameters.degree:
            ties.append((resource, edges))
    leader: dict[str, str] = {}

    def lead(account: str) -> str:
        while (above := leader.setdefault(account, account)) != account:
            leader[account] = leader[above]
            account = above
        return account

    for _, edges in ties:
        first = lead(edges[0].account)
        for edge in edges[1:]:
            leader[lead(edge.account)] = first
            first = lead(first)
    groups: dict[str, list[str]] = {}
    for account in sorted(leader):
        groups.setdefault(lead(account), []).append(account)
    by_group: dict[str, list[tuple[Resource, list[Edge]]]] = {}
    for resource, edges in ties:
        by_group.setdefault(lead(edges[0].account), []).append((resource, edges))
    rings = []
    for group, members in groups.items():
        if _parties(component, members) >= parameters.minimum_accounts:
            rings.append(_candidate(component, members, by_group[group], parameters))
    return sorted(rings, key=lambda ring: ring.members)


def _parties(component: Component, members: Sequence[str]) -> int:
    """Accounts, those of one household counted once."""
    households = [_household(component, member) for member in members]
    named = {household for household in households if household}
    return len(named) + households.count("")


def _household(component: Component, account: str) -> str:
    facts = component.accounts.get(account)
    return "" if facts is None else facts.household


def _candidate(
    component: Component,
    members: Sequence[str],
    ties: Sequence[tuple[Resource, Sequence[Edge]]],
    parameters: RingParameters,
) -> Candidate:
    innocent = []
    facts = [component.accounts[member] for member in members if member in component.accounts]
    addresses = {fact.address for fact in facts}
    if len(facts) == len(members) and len(addresses) == 1 and "" not in addresses:
        innocent.append("one_address")
        if len(members) <= HOUSEHOLD_ACCOUNTS:
            innocent.append("household_size")
    if any(count > 1 for household, count in Counter(fact.household for fact in facts).items() if household):
        innocent.append("shared_household")
    kinds = {resource.kind for resource, _ in ties}
    edges = sum(len(edges) for _, edges in ties)
    # A chain of n accounts over n - 1 resources has 2 (n - 1) edges, one shared device n: what lies beyond n is
    # evidence that repeats itself.
    repeated = max(0, edges - len(members)) / len(members)
    score = 0.4
    score += 0.2 * min(1.0, (len(members) - parameters.minimum_accounts) / 5)
    score += 0.2 * min(1.0, repeated)
    score += 0.1 * (PAYMENT in kinds)
    score += 0.1 * (len(kinds) > 1)
    if "one_address" in innocent:
        score *= 0.6
    if "shared_household" in innocent:
        score *= 0.7
    shared = sorted(
        ((resource.kind, resource.name, len(edges)) for resource, edges in ties),
        key=lambda item: (-item[2], item[0], item[1]),
    )
    return Candidate(
        members=tuple(members),
        score=round(min(1.0, score), 6),
        shared=tuple(shared),
        first_seen_ms=min(sorted(edge.first_ms for edge in edges)[1] for _, edges in ties),
        last_seen_ms=max(edge.last_ms for _, edges in ties for edge in edges),
        innocent=tuple(innocent),
    )


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
