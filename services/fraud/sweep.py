"""The sweep: rings of all accounts at once, in a process of its own.

    python -m services.fraud.sweep rings EDGES.csv [--why USER] [--parameters FILE] [--backend NAME]
    python -m services.fraud.sweep snapshot MEMORY.jsonl --tenant NAME [--record DATABASE]

Prints a JSON line a ring, most members first: {"ring_id", "members", "score", "evidence"}. A snapshot is read, never
written: the service goes on meanwhile. With `--record` the rings are written into fraud's database, component by
component, each with the id that it has there, so that ids, verdicts and lineage go on; rings that analysts dismissed are
not printed. Exit status 2 where the input cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import sqlalchemy as sa

from services.common.clock import SystemClock
from services.common.db import DatabaseSettings, open_database
from services.common.errors import InvalidArgument, UsherError
from services.fraud.communities import split_parties
from services.fraud.edge_list import KINDS, EdgeList, components, context, merge, read_edges
from services.fraud.lineage import new_ring_id
from services.fraud.memory import HARD, AccountFacts, Component
from services.fraud.memory_process import KINDS as TABLES
from services.fraud.parameters import RingParameters, parse, shipped
from services.fraud.rings import Candidate, examine, find_rings
from services.fraud.store import DISMISSED, RingStore
from services.fraud.store_snapshot import VERSION

_KIND_NAMES = {kind: name for name, kind in KINDS.items()}


def rings_of(edges: EdgeList, parameters: RingParameters, backend: str | None = None) -> Iterator[Candidate]:
    """Rings of an edge list, component by component."""
    usual = context(edges)
    split = split_parties(backend)
    for component in components(edges, parameters.degree, parameters.minimum_accounts):
        yield from find_rings(component, parameters, usual, split)


def why(edges: EdgeList, user: str, parameters: RingParameters) -> list[Candidate]:
    """Groups that an account is in, rings or not. Raises InvalidArgument (ACCOUNT_UNKNOWN)."""
    if user not in edges.accounts:
        raise InvalidArgument("ACCOUNT_UNKNOWN", "no edge names this user")
    for component in components(edges, parameters.degree, 2):
        if user in component.accounts:
            return [
                group
                for group in examine(component, parameters, context(edges), split_parties())
                if user in group.members
            ]
    return []


def read_snapshot(path: Path, tenant: str) -> tuple[EdgeList, dict[str, AccountFacts]]:
    """The edges of a tenant in a snapshot of the memory, and what is known of its accounts.

    Raises InvalidArgument (SNAPSHOT_INVALID) where it is none of this version, or lacks the tenant.
    """
    users: dict[str, int] = {}
    resources: list[tuple[str, str]] = []
    columns = [array("q") for _ in range(4)]
    facts: dict[str, AccountFacts] = {}
    now = ""
    seen = False
    with path.open("rb") as file:
        for number, line in enumerate(file):
            content: Any = orjson.loads(line)
            if number == 0:
                if not isinstance(content, dict) or content.get("usher_fraud_memory") != VERSION:
                    raise InvalidArgument("SNAPSHOT_INVALID", "it is no snapshot of this version")
            elif isinstance(content, dict):
                now = str(content.get("tenant", now))
                seen |= now == tenant
            elif now == tenant and content[0] == "accounts":
                for name, (_, _, household, created_ms, devices, *_) in content[1].items():
                    facts[name] = AccountFacts(household, created_ms, len(devices))
            elif now == tenant and content[0] in TABLES:
                for name, edges in content[1].items():
                    if "" in edges and TABLES[content[0]] in HARD:
                        continue  # More accounts than are kept: a public device.
                    resource = len(resources)
                    resources.append((TABLES[content[0]], name))
                    for user, (first_ms, last_ms, _) in edges.items():
                        if user:
                            row = (users.setdefault(user, len(users)), resource, first_ms, last_ms)
                            for column, value in zip(columns, row, strict=True):
                                column.append(value)
    if not seen:
        raise InvalidArgument("SNAPSHOT_INVALID", "the snapshot holds no such tenant")
    account, resource_of, first, last = (np.array(column, dtype=np.int64) for column in columns)
    return merge(list(users), resources, account, resource_of, first, last), facts


def known(component: Component, facts: dict[str, AccountFacts]) -> Component:
    """A component with what the memory knows of its accounts."""
    accounts = {name: facts.get(name, guess) for name, guess in component.accounts.items()}
    return Component(accounts, component.resources, signups_timed=False)


def record(
    store: RingStore, tenant: str, component: Component, found: list[Candidate], parameters: RingParameters
) -> list[tuple[Candidate, str]]:
    """Writes the rings of a component; returns those that are not dismissed, with their ids."""
    recorded = store.record(tenant, sorted(component.accounts), found, parameters)
    return [
        (assignment.candidate, assignment.ring_id)
        for assignment in recorded.assignments
        if recorded.statuses[assignment.ring_id] != DISMISSED
    ]


def as_json(
    group: Candidate, tenant: str, parameters: RingParameters, ring_id: str | None = None
) -> dict[str, Any]:
    """A group as the command prints it; without `ring_id` a ring gets the one that a new ring would get."""
    if ring_id is None and not group.why_not:
        ring_id = new_ring_id(tenant, group.members, group.first_seen_ms)
    return {
        "ring_id": ring_id,
        "members": list(group.members),
        "score": group.score,
        "evidence": {
            "flagged": not group.why_not and len(group.members) >= parameters.flagged_accounts,
            "confidence": group.confidence,
            "findings": [finding._asdict() for finding in group.findings],
            "innocent_explanations": list(group.innocent),
            "why_not": list(group.why_not),
            "shared": [
                {
                    "kind": _KIND_NAMES[shared.kind],
                    "value": shared.name,
                    "members": shared.members,
                    "accounts": shared.accounts,
                    "rarity": round(shared.rarity, 4),
                }
                for shared in group.shared
            ],
        },
    }


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(prog="usher fraud")
    parser.add_argument("command", choices=("rings", "snapshot"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--tenant", default="")
    parser.add_argument("--why", metavar="USER")
    parser.add_argument("--parameters", type=Path)
    parser.add_argument("--backend")
    parser.add_argument("--record", metavar="DATABASE", help="URL of fraud's database, or its SQLite file")
    options = parser.parse_args()
    # Millions of small objects, none of them in a cycle.
    gc.disable()
    ids: dict[tuple[str, ...], str] = {}
    try:
        parameters = (
            parse(options.parameters.read_bytes()) if options.parameters is not None else shipped()
        ).rings
        if options.command == "rings":
            with options.file.open(encoding="utf-8", newline="") as lines:
                edges = read_edges(lines)
            if edges.blank:
                print(f"{edges.blank} rows without a value are no edges", file=sys.stderr)
            if options.why is not None:
                found = why(edges, options.why, parameters)
            else:
                found = list(rings_of(edges, parameters, options.backend))
        else:
            edges, facts = read_snapshot(options.file, options.tenant)
            split = split_parties(options.backend)
            found = []
            with contextlib.ExitStack() as stack:
                store = None
                if options.record is not None:
                    opened = open_database(DatabaseSettings(url=options.record), schema="fraud")
                    stack.callback(opened.dispose)
                    store = RingStore(opened, SystemClock())
                    store.open()
                for component in components(edges, parameters.degree, parameters.minimum_accounts):
                    rings = find_rings(known(component, facts), parameters, split=split)
                    if store is not None:
                        kept = record(store, options.tenant, component, rings, parameters)
                        ids.update((ring.members, ring_id) for ring, ring_id in kept)
                        rings = [ring for ring, _ in kept]
                    found += rings
    except UsherError as error:
        print(f"{options.file}: {error.message} ({error.reason})", file=sys.stderr)
        return 2
    except sa.exc.SQLAlchemyError:
        print(f"{options.record}: it is no database of fraud of this version", file=sys.stderr)
        return 2
    except (OSError, UnicodeDecodeError, orjson.JSONDecodeError) as error:
        print(f"{options.file}: it cannot be read: {error}", file=sys.stderr)
        return 2
    for group in sorted(found, key=lambda group: (-len(group.members), group.members)):
        line = as_json(group, options.tenant, parameters, ids.get(group.members))
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
