"""Streams of events with a known answer, and small tools that the tests of the mesh share.

Viewers have a device and an address of their own unless a scenario says otherwise: nothing ties them, so that each
one's decisions and profile depend on its own events only.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from services.ingest import receipts
from tests.harness import Front, Mesh
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from usher.ingest.v1 import ingest_pb2

DECIDED = ingest_pb2.EVENT_STATUS_DECIDED
DUPLICATE = ingest_pb2.EVENT_STATUS_DUPLICATE
CONFLICT = ingest_pb2.EVENT_STATUS_CONFLICT
FAILED = ingest_pb2.EVENT_STATUS_FAILED
ACCEPTED = ingest_pb2.EVENT_STATUS_ACCEPTED
_SEQUENCE = itertools.count(1)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id(prefix: str = "e") -> str:
    """An event_id that no other event of this process has."""
    return f"{prefix}-{next(_SEQUENCE):06d}"


def event(
    user: str, event_type: str = "play", *, at_ms: int | None = None, event_id: str = "", **fields: Any
) -> event_pb2.Event:
    """A well-formed event of a viewer at home; `fields` replace what it says.

    The address is the viewer's own, of the range for documentation (RFC 3849): no place is known of it.
    """
    number = zlib.crc32(user.encode())
    values: dict[str, Any] = {
        "event_id": event_id or new_id(),
        "user_id": user,
        "device_id": f"device-{user}",
        "event_type": event_type,
        "region": "DE",
        "ip_address": f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1",
        "has_consent": True,
        **fields,
    }
    built = event_pb2.Event(**values)
    if not built.HasField("event_time"):
        built.event_time.FromMilliseconds(now_ms() if at_ms is None else at_ms)
    return built


def as_json(one: event_pb2.Event) -> dict[str, Any]:
    """The same event as the original pipeline's JSON; only the fields that `event` sets."""
    return {
        "event_id": one.event_id,
        "user_id": one.user_id,
        "device_id": one.device_id,
        "event_type": one.event_type,
        "timestamp": one.event_time.ToJsonString(),
        "region": one.region,
        "ip_address": one.ip_address,
        "has_consent": one.has_consent,
    }


def takeover(user: str) -> list[event_pb2.Event]:
    """A known viewer's account is taken over and emptied; the last event is the export that gets REVIEW.

    Twelve plays on the viewer's device (more than `cold_events`, which is 10), three failed sign-ins and a success on
    a device never seen within the hour (stage 1 of the sequence), then an export from it (stage 2): the hard rule
    `takeover` of services/scoring/defaults/outcomes.yaml says REVIEW at least.
    """
    start = now_ms() - 60_000
    kinds = ["play"] * 12 + ["login_failed"] * 3 + ["login", "export"]
    return [
        event(
            user,
            kind,
            at_ms=start + 1000 * i,
            device_id=f"device-{user}" if i < 12 else f"other-device-{user}",
        )
        for i, kind in enumerate(kinds)
    ]


def traffic(users: Sequence[str], number: int, *, prefix: str, at_ms: int) -> list[event_pb2.Event]:
    """Ordinary traffic, the users in turn: times 50 ms apart, kinds that make no incident."""
    kinds = ("login", "play", "heartbeat", "pause", "play", "seek", "heartbeat", "stop", "download")
    return [
        event(
            users[i % len(users)],
            kinds[(i // len(users) + i) % len(kinds)],
            at_ms=at_ms + 50 * i,
            event_id=f"{prefix}-{i:06d}",
        )
        for i in range(number)
    ]


def batches(events: Sequence[event_pb2.Event], size: int) -> Iterator[Sequence[event_pb2.Event]]:
    """Pieces of a stream, in order."""
    for start in range(0, len(events), size):
        yield events[start : start + size]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true value of `condition`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not so within {seconds:g} s: {value!r}"
        time.sleep(0.05)


def answers(front: Front, event_: event_pb2.Event, want: int = DECIDED) -> decision_pb2.Decision:
    """The decision on one event."""
    [result] = front.decide([event_])
    assert result.status == want, result
    return result.decision


def words(decision: decision_pb2.Decision, code: int) -> list[str]:
    """Words of the decision's reasons of one code."""
    return [word for reason in decision.reasons if reason.code == code for word in reason.words]


def signal(decision: decision_pb2.Decision, index: int) -> float:
    """One of fraud's signals (usher.decision.v1.SignalIndex); 0 where fraud had nothing to say."""
    values = decision.assessment.signals
    return values[index] if index < len(values) else 0.0


def profiles(mesh: Mesh, tenant: str, users: Iterable[str]) -> dict[str, tuple[bytes, bytes, bytes]]:
    """(body, devices, backlog) of each viewer's profile, read from ingest's SQLite file."""
    found = {}
    with sqlite3.connect(f"file:{mesh.folder / 'ingest'}.db?mode=ro", uri=True) as connection:
        for user in users:
            key = receipts.user_key(tenant, user)
            row = connection.execute(
                "SELECT body, devices, backlog FROM profiles WHERE key = ?", (key,)
            ).fetchone()
            found[user] = tuple(row) if row else (b"", b"", b"")
    connection.close()
    return found


def count_rows(mesh: Mesh, table: str) -> int:
    """Rows of one of ingest's tables."""
    connection = sqlite3.connect(f"file:{mesh.folder / 'ingest'}.db?mode=ro", uri=True)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def alerts(mesh: Mesh, tenant: str = "dev") -> list[alerts_pb2.Alert]:
    """Every alert of a tenant."""
    with _channel(mesh.target("alerts")) as channel:
        stub = alerts_pb2_grpc.AlertsServiceStub(channel)
        return list(
            stub.ListAlerts(alerts_pb2.ListAlertsRequest(tenant=tenant, page_size=1000), timeout=10).alerts
        )


def rings(mesh: Mesh, tenant: str = "dev") -> list[fraud_pb2.Ring]:
    """Every ring of a tenant."""
    with _channel(mesh.target("fraud")) as channel:
        stub = fraud_pb2_grpc.FraudServiceStub(channel)
        return list(stub.ListRings(fraud_pb2.ListRingsRequest(tenant=tenant), timeout=10).rings)


def _channel(target: str) -> grpc.Channel:
    return grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])


class Refusal:
    """What a failed RPC says: code, reason, metadata, violations (google.rpc.Status)."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code: grpc.StatusCode = error.code()
        self.text: str = error.details() or ""
        self.reason = ""
        self.metadata: Mapping[str, str] = {}
        self.violations: list[tuple[str, str]] = []
        self.retry_seconds: float | None = None
        self.raw = b""
        for key, value in error.trailing_metadata() or ():
            if key != "grpc-status-details-bin":
                continue
            self.raw = value
            for detail in status_pb2.Status.FromString(value).details:
                info, bad, retry = (
                    error_details_pb2.ErrorInfo(),
                    error_details_pb2.BadRequest(),
                    error_details_pb2.RetryInfo(),
                )
                if detail.Unpack(info):
                    self.reason, self.metadata = info.reason, dict(info.metadata)
                elif detail.Unpack(bad):
                    self.violations = [(v.field, v.reason) for v in bad.field_violations]
                elif detail.Unpack(retry):
                    self.retry_seconds = retry.retry_delay.ToNanoseconds() / 1e9


class Load:
    """Sends batches one after the other from a thread of its own until told to stop.

    A batch that was not answered is sent again, so that each event is decided in the end.
    """

    def __init__(self, mesh: Mesh, events: Iterable[Sequence[event_pb2.Event]], tenant: str = "dev") -> None:
        self._mesh = mesh
        self._events = iter(events)
        self._tenant = tenant
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.results: list[ingest_pb2.EventResult] = []
        self.errors: list[Refusal] = []
        self.sent = 0
        self.failure: BaseException | None = None

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends after the batch under way."""
        self._stop.set()
        self.finish()

    def finish(self, seconds: float = 60.0) -> None:
        """Waits until everything is sent."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the load does not end"
        if self.failure is not None:
            raise self.failure

    def past(self, number: int) -> None:
        """Waits until that many more events are answered."""
        want = len(self.results) + number
        until(lambda: len(self.results) >= want or not self._thread.is_alive())
        assert len(self.results) >= want, self.failure or "the load ended too early"

    def _run(self) -> None:
        try:
            with self._mesh.ingest(tenant=self._tenant) as front:
                for batch in self._events:
                    self.sent += len(batch)
                    while not self._stop.is_set():
                        try:
                            self.results += front.decide(batch)
                            break
                        except grpc.RpcError as error:
                            self.errors.append(Refusal(error))
                            time.sleep(0.05)
                    if self._stop.is_set():
                        return
        except BaseException as error:
            self.failure = error
