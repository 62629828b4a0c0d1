"""Edges of many accounts as columns, and the components that hard identifiers make of them."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidArgument
from services.fraud.memory import (
    ADDRESS,
    DAY_MS,
    DEVICE,
    DOMAIN,
    HARD,
    PAYMENT,
    SIGNUP,
    AccountFacts,
    Component,
    Edge,
    Resource,
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
    blank: int
    """Rows without a value."""


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
                bool(is_hard[resource] and count[resource] > degree),
                int(count[resource]),
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
