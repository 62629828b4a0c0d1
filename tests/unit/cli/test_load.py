"""The parts of `usher load` that need no mesh: quantiles, loopback, traffic, the comparison with the books."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from cli.console import UnusableError
from cli.load import LoadSettings, Sender, Step, bodies, compare, numbered, quantiles, require_loopback
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

NOW_MS = 1_795_305_600_000


def test_quantiles_are_nearest_rank() -> None:
    # Of 1 to 1,000 the nearest-rank quantile q is the value 1,000 q.
    found = quantiles([float(value) for value in range(1000, 0, -1)])
    assert found == {"p50": 500.0, "p90": 900.0, "p99": 990.0, "p99.9": 999.0, "max": 1000.0}


def test_quantiles_of_too_few_values_are_unknown() -> None:
    assert quantiles([]) == {"p50": None, "p90": None, "p99": None, "p99.9": None, "max": None}
    assert quantiles([5.0, 7.0]) == {"p50": 5.0, "p90": None, "p99": None, "p99.9": None, "max": 7.0}
    # 100 values have a hundredth, and no thousandth.
    hundred = quantiles([float(value) for value in range(1, 101)])
    assert (hundred["p99"], hundred["p99.9"]) == (99.0, None)


@pytest.mark.parametrize(
    "target",
    ["unix:/run/ingest.sock", "127.0.0.1:50051", "127.0.0.9:1,127.0.0.1:2", "[::1]:5", "localhost:5"],
)
def test_loopback_is_let_through(target: str) -> None:
    require_loopback(target)


@pytest.mark.parametrize(
    "target",
    [
        "192.0.2.1:50051",
        "127.0.0.1:1,10.0.0.1:2",
        "dns:///ingest.example:50051",
        "example.org:80",
        "0.0.0.0:5",
    ],
)
def test_nothing_else_is(target: str) -> None:
    with pytest.raises(UnusableError, match="this machine"):
        require_loopback(target)


def test_bodies_are_ordinary_events_without_id_and_time() -> None:
    made = bodies(20, 1, 300, NOW_MS)
    assert len(made) == 300
    assert made == bodies(20, 1, 300, NOW_MS)
    events = [event_pb2.Event.FromString(body) for body in made]
    assert all(not event.event_id and not event.HasField("event_time") for event in events)
    assert all(event.user_id and event.ip_address and event.event_type for event in events)
    # An account is older than the event that will be stamped with a later time.
    assert all(event.account.created_time.ToMilliseconds() < NOW_MS for event in events)


def test_ids_go_on_when_the_bodies_come_round() -> None:
    events = numbered([b"a", b"b"], "run")
    assert [next(events) for _ in range(3)] == [
        ("load-run-000000000", b"a"),
        ("load-run-000000001", b"b"),
        ("load-run-000000002", b"a"),
    ]


@pytest.fixture
async def sender() -> Any:
    settings = LoadSettings("unix:/x", "load", [1.0], 1.0, 1, 1, 1, 1, 1.0, 1.0)
    async with grpc.aio.insecure_channel("unix:/x") as channel:
        yield Sender(channel, settings, iter([]), asyncio.Event())


def books(**counts: int) -> ingest_pb2.Accounting:
    return ingest_pb2.Accounting(tenant="load", balanced=True, **counts)


async def test_equal_books_are_ok(sender: Sender) -> None:
    sender.ledger.update(decided=90, failed=4, refused=5, conflict=1)
    sender.answers = 100
    before = books(received=7, decided=7)
    after = books(received=107, decided=97, failed=4, refused=5, conflict=1)
    assert {row.name: row.verdict for row in compare(sender, before, after)} == {
        "received": "ok",
        "decided": "ok",
        "failed": "ok",
        "duplicate": "ok",
        "conflict": "ok",
        "refused": "ok",
    }


async def test_a_decision_that_is_not_booked_is_missing(sender: Sender) -> None:
    sender.ledger.update(decided=100)
    sender.answers = 100
    rows = {row.name: row.verdict for row in compare(sender, books(), books(received=100, decided=99))}
    assert rows["decided"] == "1 missing"
    assert rows["received"] == "ok"


async def test_what_others_sent_is_not_taken_for_ours(sender: Sender) -> None:
    sender.ledger.update(decided=10)
    sender.answers = 10
    rows = {row.name: row.verdict for row in compare(sender, books(), books(received=12, decided=12))}
    assert rows["decided"] == "2 more than sent"


async def test_a_sending_without_an_answer_may_or_may_not_be_booked(sender: Sender) -> None:
    # 5 events went out without an answer; sent again, 3 were known and 2 were new.
    sender.ledger.update(decided=15)
    sender.answers, sender.repeats, sender.lost = 15, 3, 5
    for received in (15, 18, 20):
        rows = compare(sender, books(), books(received=received, decided=15, duplicate=3))
        assert {row.verdict for row in rows} == {"ok"}
    rows = compare(sender, books(), books(received=21, decided=15, duplicate=3))
    assert rows[0].verdict == "1 more than sent"


def test_a_step_in_json() -> None:
    step = Step(200.0, seconds=2.0, events=400, calls=400, latencies=[0.001, 0.003])
    step.endings.update(decided=398, refused=2)
    shown = step.to_json()
    assert shown["answered_per_second"] == 200.0
    assert shown["latency_ms"] == {"p50": 1.0, "p90": None, "p99": None, "p99.9": None, "max": 3.0}
    assert shown["endings"] == {"decided": 398, "refused": 2}
