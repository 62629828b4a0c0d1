"""SIGTERM under load: what was begun is finished, nothing acknowledged is lost, the exit status is 0."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest

from tests.harness import SERVICES, Mesh
from tests.scenarios import (
    ACCEPTED,
    DECIDED,
    Refusal,
    alerts,
    answers,
    as_json,
    event,
    new_id,
    takeover,
    until,
)
from usher.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("mesh-drain")]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    # So long that a call which a caller began before the signal has arrived, however busy the machine is.
    env = {"USHER_INGEST_SERVER_DRAIN_NOTICE": "1", "USHER_GATEWAY_DRAIN_NOTICE": "1"}
    folder = tmp_path_factory.mktemp("drain")
    with Mesh(folder, enforcing=("dev", "kept"), env=env, gateway=True) as running:
        yield running


class Sent(NamedTuple):
    """One call: when it began (monotonic seconds), its events, and what came of it."""

    began: float
    event_ids: list[str]
    results: list[Any] | None
    error: Any


class Callers:
    """Threads that call without pause until told to stop."""

    def __init__(self, number: int, call: Callable[[int], Sent]) -> None:
        self.sent: list[Sent] = []
        self._stop = threading.Event()
        self._failure: list[BaseException] = []
        self._call = call
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(number)]

    def _run(self, number: int) -> None:
        try:
            while not self._stop.is_set():
                one = self._call(number)
                self.sent.append(one)
                if one.error is not None:
                    time.sleep(0.02)
        except BaseException as error:
            self._failure.append(error)

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        if self._failure:
            raise self._failure[0]


def over_grpc(mesh: Mesh, tenant: str) -> Callable[[int], Sent]:
    fronts = [mesh.ingest(tenant=tenant) for _ in range(6)]

    def call(number: int) -> Sent:
        events = [event(f"grpc{number}-{i}", event_id=new_id(f"g{number}")) for i in range(1 + number * 3)]
        ids = [one.event_id for one in events]
        door = fronts[number].submit if number % 2 else fronts[number].decide
        began = time.monotonic()
        try:
            return Sent(began, ids, door(events), None)
        except grpc.RpcError as error:
            return Sent(began, ids, None, Refusal(error))

    return call


def test_ingest_finishes_what_was_begun(mesh: Mesh) -> None:
    with Callers(6, over_grpc(mesh, "kept")) as callers:
        until(lambda: len(callers.sent) > 60)
        told = time.monotonic()
        assert mesh.process("ingest").stop(signal.SIGTERM) == 0
        ended = time.monotonic()
        until(lambda: any(one.began > told and one.error for one in callers.sent))
        # Without notice from here on: what comes is refused at once, what runs is finished.
        mesh.start("ingest", extra={"USHER_INGEST_SERVER_DRAIN_NOTICE": "0"})
        up = time.monotonic()
        until(lambda: any(one.began > up and one.results for one in callers.sent))
    sent = callers.sent
    begun = [one for one in sent if one.began < told]
    assert len(begun) > 60
    assert [one.error for one in begun if one.error] == [], "every call begun before SIGTERM was answered"
    for one in sent:
        if one.error is not None:
            assert told < one.began
            # gRPC's core resets a call that arrives in the very moment of the close: CANCELLED, not begun either.
            codes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
            assert one.error.code in codes, one.error.text
    assert ended - told < 20
    acked = {result.event_id: result for one in sent for result in one.results or ()}
    assert {result.status for result in acked.values()} <= {DECIDED, ACCEPTED}
    with mesh.ingest(tenant="kept") as front:
        until(lambda: front.accounting().pending == 0)
        for event_id, result in acked.items():
            kept = front.decision(event_id)
            if result.status == DECIDED:
                assert kept == result.decision
        books = front.accounting()
    assert books.balanced
    # A call that was not answered may have been decided all the same; one that was, is.
    everything = {event_id for one in sent for event_id in one.event_ids}
    assert len(acked) <= books.decided <= len(everything)


def test_a_large_call_under_way_is_answered_in_full(mesh: Mesh) -> None:
    events = [event(f"large{i % 500}", event_id=new_id("large")) for i in range(2_000)]
    with mesh.ingest() as front:
        answers(front, event("first"))
        request = ingest_pb2.DecideEventsRequest(tenant="dev", events=events)
        call = front.stub.DecideEvents.future(request, timeout=30)
        with mesh.ingest() as watching:
            before = watching.accounting().decided
            until(lambda: watching.accounting().decided > before)
        assert not call.done(), "it is in the middle"
        assert mesh.process("ingest").stop(signal.SIGTERM) == 0
        results = call.result().results
    assert [result.event_id for result in results] == [one.event_id for one in events]
    assert {result.status for result in results} == {DECIDED}
    mesh.start("ingest", extra={"USHER_INGEST_SERVER_DRAIN_NOTICE": "0"})
    with mesh.ingest() as front:
        assert front.decision(events[-1].event_id) == results[-1].decision


def test_what_waits_in_the_inbox_is_decided_after_the_restart(mesh: Mesh) -> None:
    events = [event(f"inbox{i % 50}", event_id=new_id("inbox")) for i in range(2_000)]
    with mesh.ingest() as front:
        assert {result.status for result in front.submit(events)} == {ACCEPTED}
    assert mesh.process("ingest").stop(signal.SIGTERM) == 0
    mesh.start("ingest")
    with mesh.ingest() as front:
        until(lambda: front.accounting().pending == 0)
        assert {front.decision(one.event_id).event_id for one in events[::50]} == {
            one.event_id for one in events[::50]
        }
        assert front.accounting().balanced


@pytest.mark.parametrize("name", ["compliance", "scoring", "fraud", "alerts"])
def test_a_leaf_drains_under_load_and_costs_no_answer(mesh: Mesh, name: str) -> None:
    """While it is away decisions degrade; none fails, and it ends with 0."""
    with Callers(4, over_grpc(mesh, "dev")) as callers:
        until(lambda: len(callers.sent) > 20)
        assert mesh.process(name).stop(signal.SIGTERM) == 0
        many = len(callers.sent)
        until(lambda: len(callers.sent) > many + 20)
        mesh.start(name)
    assert [one.error for one in callers.sent if one.error] == []
    with mesh.ingest() as front:
        until(lambda: not answers(front, event("waiter")).degraded)
        assert front.accounting().balanced


def test_an_unexpected_exception_reaches_no_client_with_its_text(mesh: Mesh) -> None:
    """Tables are renamed under running services: what the database says of it stays in their logs."""
    http = httpx.Client(base_url=mesh.http, timeout=20, trust_env=False)
    until(lambda: http.get("/healthz").status_code == 200)
    with mesh.ingest() as front:
        answers(front, event("whole"))

        with renamed(mesh.folder / "alerts.db", "alerts"):
            with pytest.raises(grpc.RpcError) as error:
                alerts(mesh)
            nothing_of_ours(Refusal(error.value))
            assert "no such table" in mesh.process("alerts").tail(20_000)
        assert isinstance(alerts(mesh), list)

        with renamed(mesh.folder / "ingest.db", "counters"):
            with pytest.raises(grpc.RpcError) as error:
                front.accounting()
            nothing_of_ours(Refusal(error.value))
            answer = http.get("/api/v1/accounting")
            assert answer.status_code in (500, 503)
            assert answer.headers["content-type"] == "application/problem+json"
            assert not [word for word in OURS if word in answer.text]
            [result] = front.decide([event("unlucky")])
            assert result.status == ingest_pb2.EVENT_STATUS_REFUSED
            assert not [word for word in OURS if word in str(result)]
            assert "no such table" in mesh.process("ingest").tail(20_000)
        until(lambda: http.get("/healthz").status_code == 200)
        answers(front, event("whole"))
        until(lambda: http.get("/api/v1/accounting").status_code == 200)
    http.close()


OURS = ("no such table", "counters", "SELECT", "INSERT", "sqlite", "OperationalError", "Traceback", ".py")


def nothing_of_ours(refused: Refusal) -> None:
    assert refused.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
    told = refused.text + refused.raw.decode("latin-1")
    assert not [word for word in OURS if word in told], told


class renamed:  # noqa: N801
    """A table that is away for a while."""

    def __init__(self, database: Path, table: str) -> None:
        self._database, self._table = database, table

    def __enter__(self) -> None:
        self._run(f"ALTER TABLE {self._table} RENAME TO away_{self._table}")

    def __exit__(self, *_: object) -> None:
        self._run(f"ALTER TABLE away_{self._table} RENAME TO {self._table}")

    def _run(self, statement: str) -> None:
        with closing(sqlite3.connect(self._database, timeout=10)) as connection:
            connection.execute(statement)
            connection.commit()


def test_the_gateway_finishes_what_was_begun(mesh: Mesh) -> None:
    until(lambda: httpx.get(f"{mesh.http}/healthz", trust_env=False).status_code == 200)

    clients = [httpx.Client(base_url=mesh.http, timeout=20, trust_env=False, verify=False) for _ in range(4)]

    def call(number: int) -> Sent:
        one = event(f"http{number}", event_id=new_id(f"h{number}"))
        began = time.monotonic()
        try:
            answer = clients[number].post("/api/v1/decisions", json=as_json(one))
        except httpx.TransportError as error:
            return Sent(began, [one.event_id], None, error)
        if answer.status_code != 200:
            return Sent(began, [one.event_id], None, answer.status_code)
        return Sent(began, [one.event_id], [answer.json()], None)

    with Callers(4, call) as callers:
        until(lambda: len(callers.sent) > 20)
        told = time.monotonic()
        assert mesh.process("gateway").stop(signal.SIGTERM) == 0
        until(lambda: any(one.began > told and one.error for one in callers.sent))
    for client in clients:
        client.close()
    begun = [one for one in callers.sent if one.began < told]
    assert [one.error for one in begun if one.error] == [], "every request begun before SIGTERM was answered"
    acked = {one.event_ids[0]: one.results[0] for one in callers.sent if one.results}
    assert len(acked) >= 20
    with mesh.ingest() as front:
        for event_id in acked:
            assert front.decision(event_id).event_id == event_id


def test_every_service_ends_with_zero(mesh: Mesh) -> None:
    """Last: nothing is left running. A REVIEW on its way to people is delivered, or kept for the next start."""
    with mesh.ingest() as front:
        for one in takeover("last"):
            front.decide([one])
    for name in ("gateway", *reversed(SERVICES)):
        if mesh.process(name).running:
            assert (name, mesh.process(name).stop(signal.SIGTERM)) == (name, 0)
    for name in ("alerts", "ingest"):
        mesh.start(name)
    told = until(lambda: [one for one in alerts(mesh) if one.entity == "last"])
    assert [one.count for one in told] == [1]
