"""A viewer's decisions depend on that viewer's own order of events, not on how calls interleave or batches fall.

Issue: 10,000 simulated events in two orders that keep each viewer's order, in batches of 256 and of 1: equal profiles, and,
where no signal from other accounts differs, equal decisions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from services.ingest.receipts import user_key
from simulator.traffic import generate
from tests.harness import Mesh
from tests.ledger import PATIENT, TENANT, Books, content, read_books, settle
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("faults")]

EVENTS = 10_000
USERS = 230
LANES = 8
_DAY_MS = 86_400_000


def _events() -> list[event_pb2.Event]:
    """Two simulated days with every scenario. Each viewer is an import of its own: ages are the viewer's own affair."""
    start_ms = (time.time_ns() // 1_000_000 // _DAY_MS - 4) * _DAY_MS
    made = [event for event, _ in islice(generate(23, USERS, 3, start_ms), EVENTS)]
    for event in made:
        event.origin = event_pb2.ORIGIN_IMPORT
        event.import_id = f"of-{event.user_id}"
    return made


def _shuffled(events: list[event_pb2.Event]) -> Iterator[list[event_pb2.Event]]:
    """The events of each lane in another interleaving of the viewers, each viewer's in their order."""
    rng = random.Random(5)
    of_user: dict[str, list[event_pb2.Event]] = {}
    for event in events:
        of_user.setdefault(event.user_id, []).append(event)
    users = sorted(of_user)
    rng.shuffle(users)
    for lane in range(LANES):
        own = users[lane::LANES]
        turns = [user for user in own for _ in of_user[user]]
        rng.shuffle(turns)
        streams = {user: iter(of_user[user]) for user in own}
        yield [next(streams[user]) for user in turns]


def _send(mesh: Mesh, events: list[event_pb2.Event], size: int) -> None:
    with mesh.ingest(tenant=TENANT) as front:
        for start in range(0, len(events), size):
            results = front.decide(events[start : start + size], timeout=60)
            assert {result.status for result in results} == {ingest_pb2.EVENT_STATUS_DECIDED}


def test_the_interleaving_of_viewers_and_the_size_of_batches_change_nothing(tmp_path: Path) -> None:
    events = _events()
    assert len(events) == EVENTS
    books: list[Books] = []
    with Mesh(tmp_path / "in-order", env=PATIENT, enforcing=(TENANT,)) as mesh:
        _send(mesh, events, 256)
        settle(mesh)
        books.append(read_books(mesh))
    with Mesh(tmp_path / "shuffled", env=PATIENT, enforcing=(TENANT,)) as mesh:
        with ThreadPoolExecutor(LANES) as lanes:
            list(lanes.map(lambda lane: _send(mesh, lane, 1), _shuffled(events)))
        settle(mesh)
        books.append(read_books(mesh))
    one, other = books
    assert len(one.decisions) == len(other.decisions) == EVENTS
    assert not [d.event_id for found in books for d in found.decisions.values() if d.degraded]

    users = {event.user_id for event in events}
    differing = [
        user
        for user in users
        if one.profiles[user_key(TENANT, user)] != other.profiles[user_key(TENANT, user)]
    ]
    assert differing == []

    same_signals, wrong = 0, []
    for event_id, decision in one.decisions.items():
        again = other.decisions[event_id]
        if decision.assessment != again.assessment:
            continue
        same_signals += 1
        if (mine := content(decision)) != (theirs := content(again)):
            wrong.append((event_id, [name for name in mine if mine[name] != theirs[name]]))
    assert wrong == []
    # Signals of other accounts exist and may differ; most events have none.
    assert same_signals > 0.5 * EVENTS
    assert len({decision.outcome for decision in one.decisions.values()}) > 2
