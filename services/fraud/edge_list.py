"""Edges of many accounts as columns, and the components that hard identifiers make of them."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidArgument
from services.fraud.memory import (
    ADDRESS,
    DAY_MS,
    DEVICE,
    DOMAIN,
    EDGE_RETENTION_MS,
    HARD,
    PAYMENT,
    SIGNUP,
    AccountFacts,
    Component,
    Edge,
    Resource,
    estimate,
)
from services.fraud.rings import Context

KINDS = {
    "device": DEVICE,
    "payment": PAYMENT,
    "ip": ADDRESS,
    "email_domain": DOMAIN,
    "signup_ip": SIGNUP,
}
"""Names of kinds in a file -> kinds."""
_COLUMNS = ("user", "kind", "value", "time")
_ENOUGH = 1_000
"""Accounts from which the spread of sign-ups is measured instead of assumed."""


class EdgeList(NamedTuple):
    """Accounts and resources by number, and the edges between them."""

    accounts: list[str]
    resources: list[tuple[str, str]]
    """(kind, name)."""
    account: NDArray[np.int64]
    resource: NDArray[np.int64]
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    blank: int = 0
    """Rows without a value."""
    totals: NDArray[np.int64] | None = None
    """Of each resource how many accounts were seen on it, where only some are in the list; 0: all are. None: all 0."""


class Gathering:
    """Edges of a memory, resource by resource, in any order; a resource may come twice. Its result does not depend on that.

    A resource of one account ties nobody and is not kept, nor is a device or payment instrument that is public. So what is
    held is what accounts share, not what there is.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, int] = {}
        self._resources: dict[tuple[str, str], int] = {}
        self._totals: list[int] = []
        self._columns = tuple(array("q") for _ in range(4))
        self.newest_ms = 0
        """Time of the newest edge that came, kept or not."""

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, kind: str, name: str, edges: Mapping[str, tuple[int, int]], threshold: int = -1) -> None:
        """Takes in a resource.

        Args:
            edges: account -> (first, last), Unix milliseconds.
            threshold: the largest priority kept, where more accounts were seen than are kept (see `memory.estimate`).
        """
        for _, last_ms in edges.values():
            if last_ms > self.newest_ms:
                self.newest_ms = last_ms
        if len(edges) < 2 or (threshold >= 0 and kind in HARD):
            return
        resource = self._resources.setdefault((kind, name), len(self._resources))
        if resource == len(self._totals):
            self._totals.append(0)
        if threshold >= 0:
            self._totals[resource] = estimate(len(edges), len(edges), threshold)
        account, resources, first, last = self._columns
        for user, (first_ms, last_ms) in edges.items():
            account.append(self._accounts.setdefault(user, len(self._accounts)))
            resources.append(resource)
            first.append(first_ms)
            last.append(last_ms)

    def result(self) -> EdgeList:
        """What came, without resources that nobody has used for as long as edges are remembered."""
        account, resource, first_ms, last_ms = (np.array(column, dtype=np.int64) for column in self._columns)
        names, number = _sorted(self._accounts)
        resources, place = _sorted(self._resources)
        totals = np.zeros(len(resources), dtype=np.int64)
        totals[place] = self._totals
        account, resource = number[account], place[resource]
        used = np.zeros(len(resources), dtype=np.int64)
        np.maximum.at(used, resource, last_ms)
        alive = used[resource] > self.newest_ms - EDGE_RETENTION_MS
        edges = merge(names, resources, account[alive], resource[alive], first_ms[alive], last_ms[alive])
        return edges._replace(totals=totals)


Name = TypeVar("Name", str, tuple[str, str])


def _sorted(numbers: dict[Name, int]) -> tuple[list[Name], NDArray[np.int64]]:
    """(names in order, old number -> new number)."""
    names = sorted(numbers)
    places = np.zeros(len(names), dtype=np.int64)
    places[[numbers[name] for name in names]] = np.arange(len(names))
    return names, places


def read_edges(lines: Iterable[str]) -> EdgeList:
    """Reads CSV with the columns user, kind, value and time (RFC 3339), in any order.

    Rows of one user, kind and value are one edge, from its first to its last time. A row without a value is no edge
    and is counted. Raises InvalidArgument (EDGES_INVALID) with the line.
    """
    rows = csv.reader(lines)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if missing := [name for name in _COLUMNS if name not in header]:
            raise _invalid(
                1, f"the first line must name the columns user,kind,value,time: {', '.join(missing)} missing"
            )
        at_user, at_kind, at_value, at_time = (header.index(name) for name in _COLUMNS)
        users: dict[str, int] = {}
        named: dict[str, dict[str, int]] = {name: {} for name in KINDS}
        tables = {spelling: named[name] for name in KINDS for spelling in (name, name.upper())}
        resources: list[tuple[str, str]] = []
        account, resource, time = array("q"), array("q"), array("q")
        blank = 0
        for row in rows:
            if not row:
                continue
            try:
                user, kind, value, moment = row[at_user], row[at_kind], row[at_value], row[at_time]
            except IndexError:
                raise _invalid(rows.line_num, f"{len(header)} columns expected, {len(row)} found") from None
            if not user:
                raise _invalid(rows.line_num, "user is empty")
            table = tables.get(kind)
            if table is None:
                raise _invalid(rows.line_num, f"kind is one of {', '.join(KINDS)}")
            if not value:
                blank += 1
                continue
            number = table.get(value)
            if number is None:
                number = table[value] = len(resources)
                resources.append((KINDS[kind.lower()], value))
            try:
                time.append(_milliseconds(moment))
            except ValueError:
                raise _invalid(rows.line_num, "time is not RFC 3339 (2026-01-31T12:00:00Z)") from None
            account.append(users.setdefault(user, len(users)))
            resource.append(number)
    except csv.Error as error:
        raise _invalid(rows.line_num, f"it is not CSV: {error}") from error
    return merge(
        list(users), resources, np.array(account), np.array(resource), np.array(time), np.array(time), blank
    )


def merge(
    accounts: list[str],
    resources: list[tuple[str, str]],
    account: NDArray[np.int64],
    resource: NDArray[np.int64],
    first_ms: NDArray[np.int64],
    last_ms: NDArray[np.int64],
    blank: int = 0,
) -> EdgeList:
    """Rows as edges, one for an account and resource, sorted by resource."""
    order = np.lexsort((account, resource))
    account, resource, first_ms, last_ms = account[order], resource[order], first_ms[order], last_ms[order]
    if len(account):
        new = np.ones(len(account), dtype=bool)
        new[1:] = (account[1:] != account[:-1]) | (resource[1:] != resource[:-1])
        starts = np.flatnonzero(new)
        first_ms, last_ms = np.minimum.reduceat(first_ms, starts), np.maximum.reduceat(last_ms, starts)
        account, resource = account[starts], resource[starts]
    return EdgeList(accounts, resources, account, resource, first_ms, last_ms, blank)


def context(edges: EdgeList) -> Context:
    """How sign-ups spread: between the 1st and the 99th percentile of their times."""
    signup = np.array([kind == SIGNUP for kind, _ in edges.resources], dtype=bool)
    times = edges.first_ms[signup[edges.resource]] if len(edges.resource) else np.zeros(0)
    if len(times) < _ENOUGH:
        return Context()
    low, high = np.quantile(times, (0.01, 0.99))
    return Context(max(int(high - low), DAY_MS))


def components(edges: EdgeList, degree: int, minimum: int) -> Iterator[Component]:
    """Components of `minimum` accounts or more that hard identifiers of at most `degree` accounts make."""
    if not len(edges.account):
        return
    count = np.bincount(edges.resource, minlength=len(edges.resources))
    totals = np.zeros_like(count) if edges.totals is None else edges.totals
    is_hard = np.array([kind in HARD for kind, _ in edges.resources], dtype=bool)
    joins = is_hard & (count > 1) & (count <= degree)
    leader = list(range(len(edges.accounts)))

    def lead(item: int) -> int:
        while (above := leader[item]) != item:
            leader[item] = item = leader[above]
        return item

    chosen = np.flatnonzero(joins[edges.resource])
    before = -1
    first = 0
    pairs = zip(edges.resource[chosen].tolist(), edges.account[chosen].tolist(), strict=True)
    for resource, account in pairs:
        if resource != before:
            before, first = resource, lead(account)
        elif (other := lead(account)) != first:
            leader[max(first, other)] = first = min(first, other)
    leaders = np.array([lead(item) for item in range(len(leader))], dtype=np.int64)
    sizes = np.bincount(leaders, minlength=len(leader))
    large = sizes >= minimum
    is_device = np.array([kind == DEVICE for kind, _ in edges.resources], dtype=bool)
    devices = np.bincount(edges.account[is_device[edges.resource]], minlength=len(leader))
    # Rows of large components, one component after the other, one resource after the other.
    rows = np.flatnonzero(large[leaders[edges.account]] & (count[edges.resource] > 1))
    if not len(rows):
        return
    rows = rows[np.lexsort((edges.resource[rows], leaders[edges.account[rows]]))]
    roots = leaders[edges.account[rows]]
    bounds = [0, *(np.flatnonzero(roots[1:] != roots[:-1]) + 1).tolist(), len(rows)]
    names = edges.accounts
    for start, stop in pairwise(bounds):
        part = rows[start:stop]
        columns = (edges.resource[part], edges.account[part], edges.first_ms[part], edges.last_ms[part])
        held: dict[int, list[Edge]] = {}
        facts: dict[str, AccountFacts] = {}
        for resource, account, first_ms, last_ms in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            name = names[account]
            held.setdefault(resource, []).append(Edge(name, first_ms, last_ms, 1))
            if name not in facts:
                facts[name] = AccountFacts(devices=int(devices[account]))
        listed = [
            Resource(
                *edges.resources[resource],
                users,
                bool(totals[resource] or (is_hard[resource] and count[resource] > degree)),
                int(max(count[resource], totals[resource])),
            )
            for resource, users in held.items()
            if len(users) > 1
        ]
        yield Component(facts, listed, signups_timed=True)


def _milliseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _invalid(line: int, problem: str) -> InvalidArgument:
    return InvalidArgument("EDGES_INVALID", f"line {line}: {problem}", metadata={"line": str(line)})
