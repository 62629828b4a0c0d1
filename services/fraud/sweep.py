"""The sweep: rings of all accounts at once, in a process of its own.

    python -m services.fraud.sweep rings EDGES.csv [--why USER] [--parameters FILE] [--backend NAME]
    python -m services.fraud.sweep snapshot MEMORY.jsonl --tenant NAME [--record DATABASE | --record-url-file FILE]
    python -m services.fraud.sweep redis URL_FILE --tenant NAME [--record DATABASE | --record-url-file FILE]

Prints a JSON line a ring, most members first: {"ring_id", "members", "score", "evidence"}. A snapshot and Redis are read,
never written: the service goes on meanwhile. When recorded the rings are written into fraud's database, component by
component, each with the id that it has there, so that ids, verdicts and lineage go on; rings that analysts dismissed are
not printed. `--quiet` prints none. Progress and a summary go to stderr. Exit status 2 where the input cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from services.common.clock import SystemClock
from services.common.db import DatabaseSettings, open_database
from services.common.errors import InvalidArgument, UsherError
from services.fraud.communities import split_parties
from services.fraud.edge_list import KINDS, EdgeList, components, context, read_edges
from services.fraud.lineage import new_ring_id
from services.fraud.memory import AccountFacts, Component
from services.fraud.parameters import RingParameters, parse, shipped
from services.fraud.rings import Candidate, Split, examine, find_rings
from services.fraud.store import DISMISSED, RingStore
from services.fraud.store_graph import Graph, RedisGraph, SnapshotGraph, Tell

ACCOUNTS_AT_A_TIME = 4_096
"""Accounts whose facts are read at a time."""
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


def in_memory(
    graph: Graph,
    edges: EdgeList,
    parameters: RingParameters,
    split: Split,
    tell: Tell,
) -> Iterator[tuple[Component, list[Candidate]]]:
    """Components of what a memory holds, with the rings of each."""
    read = 0
    total = max(1, len(edges.accounts))
    waiting: list[Component] = []

    def judged() -> Iterator[tuple[Component, list[Candidate]]]:
        facts = graph.facts({name for component in waiting for name in component.accounts})
        for component in waiting:
            # What the edges alone tell of an account is less than the memory knows: they are those that others share.
            accounts = {name: facts.get(name, AccountFacts()) for name in component.accounts}
            known = Component(accounts, component.resources, signups_timed=False)
            yield known, find_rings(known, parameters, split=split)

    for component in components(edges, parameters.degree, parameters.minimum_accounts):
        waiting.append(component)
        read += len(component.accounts)
        if sum(len(one.accounts) for one in waiting) >= ACCOUNTS_AT_A_TIME:
            yield from judged()
            waiting.clear()
            tell(read / total)
    yield from judged()
    tell(1.0)


def record(
    store: RingStore,
    tenant: str,
    component: Component,
    found: list[Candidate],
    parameters: RingParameters,
    as_of_ms: int,
) -> list[tuple[Candidate, str]]:
    """Writes the rings of a component; returns those that are not dismissed, with their ids.

    Args:
        as_of_ms: `Graph.as_of_ms` of what the component was read from.
    """
    recorded = store.record(tenant, sorted(component.accounts), found, parameters, swept_ms=as_of_ms)
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


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], Tell]]:
    """A bar on stderr where that is a terminal: call with a text for a new stage, then with the share that is done."""
    if not sys.stderr.isatty():
        yield lambda _: lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:

        def stage(text: str) -> Tell:
            task = bar.add_task(text, total=1.0)
            return lambda share: bar.update(task, completed=share)

        yield stage


def of_file(options: argparse.Namespace, parameters: RingParameters) -> list[Candidate]:
    """Rings of an edge list, or the groups that one account is in."""
    with options.file.open(encoding="utf-8", newline="") as lines:
        edges = read_edges(lines)
    if edges.blank:
        print(f"{edges.blank} rows without a value are no edges", file=sys.stderr)
    if options.why is not None:
        return why(edges, options.why, parameters)
    return list(rings_of(edges, parameters, options.backend))


def of_memory(
    options: argparse.Namespace, parameters: RingParameters
) -> tuple[list[Candidate], dict[tuple[str, ...], str]]:
    """Rings of a memory with their ids where they were recorded."""
    started = time.monotonic()
    found: list[Candidate] = []
    ids: dict[tuple[str, ...], str] = {}
    with contextlib.ExitStack() as stack:
        graph: Graph
        if options.command == "redis":
            url = options.file.read_text(encoding="utf-8").strip()
            if not url:
                raise InvalidArgument("URL_INVALID", "the file is empty: write the Redis URL into it")
            try:
                graph = stack.enter_context(RedisGraph(url))
            except ValueError as error:
                raise InvalidArgument("URL_INVALID", f"it holds no Redis URL: {error}") from None
        else:
            graph = stack.enter_context(SnapshotGraph(options.file))
        store = stack.enter_context(ring_store(options))
        stage = stack.enter_context(progress())
        edges = graph.edges(options.tenant, stage("reading"))
        for component, rings in in_memory(
            graph, edges, parameters, split_parties(options.backend), stage("looking for rings")
        ):
            if store is not None:
                kept = record(store, options.tenant, component, rings, parameters, graph.as_of_ms)
                ids.update((ring.members, ring_id) for ring, ring_id in kept)
                rings = [ring for ring, _ in kept]
            found += rings
        ended = ""
        if store is not None:
            ended = f", {store.finish_sweep(options.tenant, graph.as_of_ms):,} that stood are none any more"
    print(
        f"{options.tenant}: {len(found):,} rings among {len(edges.accounts):,} accounts that share something "
        f"({len(edges.account):,} edges){ended}, in {time.monotonic() - started:.1f} s",
        file=sys.stderr,
    )
    return found, ids


@contextlib.contextmanager
def ring_store(options: argparse.Namespace) -> Iterator[RingStore | None]:
    """Fraud's database, where the rings are to be recorded."""
    if options.record is None and options.record_url_file is None:
        yield None
        return
    settings = DatabaseSettings(url=options.record or "", url_file=options.record_url_file)
    with open_database(settings, schema="fraud") as database:
        store = RingStore(database, SystemClock())
        store.open()
        yield store


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        prog="services.fraud.sweep", description="Looks for rings among all accounts at once."
    )
    parser.add_argument("command", choices=("rings", "snapshot", "redis"))
    parser.add_argument(
        "file", type=Path, help="edges as CSV, a snapshot of the memory, or a file that holds Redis' URL"
    )
    parser.add_argument("--tenant", default="", help="of the memory")
    parser.add_argument("--why", metavar="USER", help="the groups a user is in, and why they are no rings")
    parser.add_argument("--parameters", type=Path, help="others than those shipped")
    parser.add_argument("--backend", help="a networkx backend")
    parser.add_argument("--quiet", action="store_true", help="prints no rings: they name accounts")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--record", metavar="DATABASE", help="URL of fraud's database, or its SQLite file")
    where.add_argument("--record-url-file", type=Path, metavar="FILE", help="file that holds that URL")
    options = parser.parse_args()
    # Beside whatever answers events.
    os.nice(10)
    # Millions of small objects, none of them in a cycle.
    gc.disable()
    ids: dict[tuple[str, ...], str] = {}
    try:
        parameters = (
            parse(options.parameters.read_bytes()) if options.parameters is not None else shipped()
        ).rings
        if options.command == "rings":
            found = of_file(options, parameters)
        else:
            found, ids = of_memory(options, parameters)
    except UsherError as error:
        print(f"{options.file}: {error.message} ({error.reason})", file=sys.stderr)
        return 2
    except sa.exc.SQLAlchemyError:
        named = options.record_url_file or options.record
        print(f"{named}: it is no database of fraud of this version", file=sys.stderr)
        return 2
    except (OSError, UnicodeDecodeError, orjson.JSONDecodeError) as error:
        print(f"{options.file}: it cannot be read: {error}", file=sys.stderr)
        return 2
    if options.quiet:
        return 0
    for group in sorted(found, key=lambda group: (-len(group.members), group.members)):
        line = as_json(group, options.tenant, parameters, ids.get(group.members))
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
