"""`python -m bench.scoring`: how fast scoring is by itself, beside its floors.

The graph on one row and at batches of 256 on one thread; DecideEvents at batches of 256 with the profiles in the
request, explanations apart and then with them; one event alone. CPU time, not wall time: a busy machine shows in both,
less in the first. The reference is a fixed piece of NumPy work: compare figures of two machines by their ratio to it.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.traffic import events
from services.common.policy import build_default, read_policy_set
from services.scoring import explain, features
from services.scoring.engine import Engine
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2

BATCH, WARM, BATCHES, USERS = 256, 20, 60, 20_000
FLOORS = {"one row": "0.1 ms", "rows a second": "50,000", "DecideEvents": "24 us", "one event": "p99 5 ms"}
console = Console()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="usher-scoring-") as folder:
        policy_set = build_default(Path(folder))
        engine = Engine(read_policy_set(Path(folder), policy_set))
    # As a server does when it has started.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    rows = np.random.default_rng(1).random((10_240, features.WIDTH)).astype(np.float32)
    table = Table(title=f"Scoring; reference {reference():.2f} ms of fixed NumPy work")
    for column in ("what", "measured", "floor"):
        table.add_column(column)
    one = [timed(lambda i=i: engine.model.run(rows[i : i + 1])) for i in range(1_000)]
    table.add_row("graph, one row, median", f"{np.median(one) * 1e3:.3f} ms", FLOORS["one row"])
    many = [timed(lambda i=i: engine.model.run(rows[i : i + BATCH])) for i in range(0, 10_240, BATCH)]
    rate = BATCH / float(np.median(many))
    table.add_row("graph, rows a second at 256", f"{rate:,.0f}", FLOORS["rows a second"])
    for explained in (False, True):
        spent, calls = decide(engine, explained)
        name = "DecideEvents at 256, CPU an event" + (", explained" if explained else "")
        each = float(np.median(spent)) / BATCH
        table.add_row(name, f"{each * 1e6:.1f} us", "" if explained else FLOORS["DecideEvents"])
    # One batch in a few is counted for drift, so the mean tells its cost and the median does not.
    whole = mean(engine)
    table.add_row("mean with account facts to without", f"{whole / mean(engine, facts=False):.3f}", "")
    engine.drift = None
    table.add_row("mean with drift counted to without", f"{whole / mean(engine):.3f}", "")
    alone = single(engine)
    table.add_row(
        "DecideEvents, one event, p99", f"{np.quantile(alone, 0.99) * 1e3:.2f} ms", FLOORS["one event"]
    )
    console.print(table)
    console.print(f"explained: {calls:,} decisions with reasons or factors among {BATCHES * BATCH:,}")


def reference() -> float:
    """Milliseconds of CPU that a fixed piece of work takes here."""
    rng = np.random.default_rng(1)
    a = rng.random((256, 256)).astype(np.float32)
    spent = []
    for _ in range(9):
        started = time.thread_time()
        for _ in range(20):
            np.sort((a @ a).ravel())
        spent.append(time.thread_time() - started)
    return float(np.median(spent)) * 1e3


def timed(work: Any) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def mean(engine: Engine, *, facts: bool = True) -> float:
    """Mean CPU seconds a batch, without explanations."""
    return float(np.mean(decide(engine, False, facts=facts)[0]))


def requests(batch: int, count: int, *, facts: bool = True) -> Any:
    """Requests of DecideEvents over viewers whose profiles grow; send the answer's profiles back.

    Without `facts` no event tells anything of its account.
    """
    profiles: dict[str, bytes] = {}
    source = events(USERS, 7, "scoring")
    for _ in range(count):
        chosen = [next(source) for _ in range(batch)]
        parsed = [event_pb2.Event.FromString(event) for event in chosen]
        users = [event.user_id for event in parsed]
        if not facts:
            for event in parsed:
                event.ClearField("account")
            chosen = [event.SerializeToString() for event in parsed]
        distinct = list(dict.fromkeys(users))
        place = {user: index for index, user in enumerate(distinct)}
        answer = yield scoring_pb2.DecideEventsRequest(
            tenant="bench",
            policy_set="bench",
            events=chosen,
            profiles=[profiles.get(user, b"") for user in distinct],
            profile_of=[place[user] for user in users],
            modes=[2] * 8,
            signals=[0.0] * (features.SIGNALS * batch),
            signal_width=features.SIGNALS,
        )
        for user, body in zip(distinct, answer.profiles, strict=True):
            profiles[user] = body or profiles.get(user, b"")


def decide(engine: Engine, explained: bool, *, facts: bool = True) -> tuple[list[float], int]:
    """CPU seconds of each batch, and decisions with something to tell."""
    speaking = explain.speaking
    if not explained:
        explain.speaking = lambda rules, inputs, decided, evidence: np.zeros(len(decided.outcome), bool)
    try:
        spent, told = [], 0
        source = requests(BATCH, WARM + BATCHES, facts=facts)
        request = next(source)
        for number in range(WARM + BATCHES):
            started = time.thread_time()
            answer = engine.decide(request)
            if number >= WARM:
                spent.append(time.thread_time() - started)
                told += sum(len(decision) > min(map(len, answer.decisions)) for decision in answer.decisions)
            try:
                request = source.send(answer)
            except StopIteration:
                break
    finally:
        explain.speaking = speaking
    return spent, told


def single(engine: Engine) -> list[float]:
    """CPU seconds of calls of one event."""
    source = requests(1, 1_000)
    request = next(source)
    spent = []
    while True:
        started = time.thread_time()
        answer = engine.decide(request)
        spent.append(time.thread_time() - started)
        try:
            request = source.send(answer)
        except StopIteration:
            return spent[100:]


if __name__ == "__main__":
    main()
