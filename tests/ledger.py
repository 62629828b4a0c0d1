"""Traffic whose sender keeps its own books, for tests and drills that kill processes.

    stream = Stream(seed=1, users=96, prefix="a")
    ledger = Ledger()
    with Traffic(stream, ledger, mesh.targets("ingest")):  # sends until the block ends, resends what was not acked
        mesh.kill("ingest")
        mesh.start("ingest")
    make_whole(stream, ledger, mesh.targets("ingest"))
    settle(mesh)
    violations = check_books(read_books(mesh), ledger, stream)

A viewer's next event is sent after the answer to the last. The viewers share nothing (device, address, payment
instrument), so that every decision depends on its viewer's own events alone.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import grpc
import sqlalchemy as sa

from services.alerts.grouping import message_key
from services.ingest.receipts import user_key
from tests.harness import Front, Mesh
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

TENANT = "dev"
MOST_BATCH = 32
PATIENT = {"USHER_INGEST_PIPELINE_LATE_AFTER_SECONDS": "86400"}
"""Environment for meshes that get the same events minutes later: they must not be LATE there."""

_HISTORY = 10
"""A profile below 10 events is COLD and its own patterns go no further than caution."""
_TAKEOVER = ("login_failed", "login_failed", "login_failed", "login")
_ORDINARY = ("play", "heartbeat", "pause", "seek", "stop", "logout", "login", "search")
_GRAVE = ("payment_method_change", "password_change")
_INVALID = "999.1.1.1"
_PLACES = (
    ("DE", "Europe/Berlin"),
    ("FR", "Europe/Paris"),
    ("US-CA", "America/Los_Angeles"),
    ("BR", "America/Sao_Paulo"),
)


class Source(Protocol):
    """Where events come from."""

    users: int

    def next(self, user: int) -> event_pb2.Event | None:
        """The viewer's next event; None where there is none."""
        ...


class Stream:
    """Makes viewers' events when they are asked for, and keeps them.

    Each viewer watches, is attacked (failed sign-ins, then one from an unknown device), and then changes means of
    payment and password now and then: decisions to review, hence alerts. One event in 40 is invalid.
    """

    def __init__(self, seed: int, users: int, prefix: str) -> None:
        self.users = users
        self.made: list[list[event_pb2.Event]] = [[] for _ in range(users)]
        self.invalid = 0.025
        self._rngs = [random.Random(f"{seed} {user}") for user in range(users)]
        self._prefix = prefix
        self._net = 1 + random.Random(f"{seed} {prefix}").randrange(200)

    def name(self, user: int) -> str:
        """The viewer's user_id."""
        return f"{self._prefix}-user-{user:04d}"

    def next(self, user: int) -> event_pb2.Event:
        rng, number = self._rngs[user], len(self.made[user])
        device = 0
        if number < _HISTORY:
            kind = rng.choice(_ORDINARY[:5])
        elif number < _HISTORY + len(_TAKEOVER):
            kind = _TAKEOVER[number - _HISTORY]
            device = int(kind == "login")
        else:
            kind = rng.choice(_GRAVE if rng.random() < 0.25 else _ORDINARY)
            device = rng.randrange(2)
        region, zone = _PLACES[user % len(_PLACES)]
        event = event_pb2.Event(
            event_id=f"{self._prefix}-{user:04d}-{number:05d}",
            user_id=self.name(user),
            device_id=f"{self._prefix}-device-{user:04d}-{device}",
            content_id=f"title-{rng.randrange(5000):05d}",
            event_type=kind,
            region=region,
            is_eu=region in ("DE", "FR"),
            has_consent=user % 5 != 0,
            # Once the history is there, so that the sequence above is not broken.
            ip_address=_INVALID
            if number >= _HISTORY + len(_TAKEOVER) and rng.random() < self.invalid
            # A /24 of the viewer's own: failures of neighbours in one network are a signal between accounts.
            else f"{81 + user // 250}.{self._net}.{user % 250}.7",
            subscription_plan="premium" if user % 3 else "basic",
            session_id=f"{self._prefix}-session-{user:04d}",
            stream_id=f"{self._prefix}-stream-{user:04d}",
            payment_fingerprint=f"{self._prefix}-pay-{user:04d}",
            time_zone=zone,
        )
        event.event_time.FromNanoseconds(time.time_ns())
        event.privacy.user_residence = region
        event.privacy.user_age = 20 + user % 50
        event.privacy.service_type = "svod"
        event.privacy.purpose = "basic_service"
        event.privacy.legal_basis_claimed = "contract"
        self.made[user].append(event)
        return event


class Recording:
    """The events of a stream once more, in each viewer's order."""

    def __init__(self, stream: Stream) -> None:
        self.users = stream.users
        self._left = [iter(list(events)) for events in stream.made]

    def next(self, user: int) -> event_pb2.Event | None:
        return next(self._left[user], None)


def is_valid(event: event_pb2.Event) -> bool:
    """Whether the stream made the event to be decided."""
    return event.ip_address != _INVALID


class Ledger:
    """What the sender knows: what it sent and what it was answered. `violations` grows where two answers differ."""

    def __init__(self) -> None:
        self.sent: dict[str, event_pb2.Event] = {}
        self.acked: dict[str, int] = {}
        self.decisions: dict[str, bytes] = {}
        self.failed: dict[str, str] = {}
        self.violations: list[str] = []
        self.resent = 0
        self.doors: Counter[str] = Counter()

    def note(self, event: event_pb2.Event, result: ingest_pb2.EventResult, door: str) -> bool:
        """Notes an answer; returns whether it is an ack."""
        event_id, status = event.event_id, result.status
        if result.event_id != event_id:
            self.violations.append(f"{event_id}: the answer in its place is about {result.event_id}")
        if status == ingest_pb2.EVENT_STATUS_REFUSED:
            return False
        if status == ingest_pb2.EVENT_STATUS_FAILED:
            if is_valid(event):
                self.violations.append(f"{event_id}: failed: {result.failure.reason}")
            self.failed[event_id] = result.failure.failed_id
        elif not is_valid(event):
            self.violations.append(f"{event_id}: invalid, yet answered with status {status}")
        elif status == ingest_pb2.EVENT_STATUS_CONFLICT:
            self.violations.append(f"{event_id}: conflicts with itself")
        elif door == "decide":
            if not result.HasField("decision"):
                self.violations.append(f"{event_id}: status {status} without a decision at the Decide door")
            body = result.decision.SerializeToString(deterministic=True)
            if self.decisions.setdefault(event_id, body) != body:
                self.violations.append(f"{event_id}: two decisions were answered")
        elif status not in (ingest_pb2.EVENT_STATUS_ACCEPTED, ingest_pb2.EVENT_STATUS_DUPLICATE):
            self.violations.append(f"{event_id}: status {status} at the Submit door")
        self.acked[event_id] = status
        self.doors[door] += 1
        return True

    @property
    def valid(self) -> set[str]:
        """Ids of acked events that must be decided."""
        return {event_id for event_id in self.acked if is_valid(self.sent[event_id])}


class Traffic:
    """Sends a source's events from several threads, in batches of 1 to 32, each viewer's one after the other.

    A context manager: sends while the block runs, then makes no new events but goes on until all that was sent is
    acked. With `each` a viewer sends so many events and no more.
    """

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        targets: Sequence[str],
        *,
        seed: int = 1,
        door: Callable[[random.Random, int], str] = lambda rng, user: rng.choice(("decide", "submit")),
        workers: int = 3,
        each: int | None = None,
        pause: float = 0.02,
        patience: float = 60.0,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._targets = targets
        self._door = door
        self._pause = pause
        self._patience = patience
        self._left = [each] * source.users
        self._stopping = threading.Event()
        self._end = float("inf")
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(range(worker, source.users, workers), random.Random(f"{seed} {worker}")),
                daemon=True,
            )
            for worker in range(workers)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        if error[0] is not None:
            # What went wrong in the block is what is to be told, not that the traffic could not end.
            self._end = 0.0
            for thread in self._threads:
                thread.join()
            return
        self._end = time.monotonic() + self._patience
        self._join()

    def finish(self) -> None:
        """Sends until the source, or what each viewer may send, is used up, and all of it is acked."""
        for thread in self._threads:
            thread.start()
        self._end = time.monotonic() + self._patience
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, users: Iterable[int], rng: random.Random) -> None:
        fronts = [Front(target, TENANT) for target in self._targets]
        try:
            self._send_all(list(users), rng, fronts)
        except BaseException as error:  # raised in the thread that waits
            self._errors.append(error)
            self._stopping.set()
        finally:
            for front in fronts:
                front.channel.close()

    def _send_all(self, users: list[int], rng: random.Random, fronts: list[Front]) -> None:
        waiting: dict[int, event_pb2.Event] = {}
        ended: set[int] = set()
        while True:
            size = rng.randint(1, MOST_BATCH)
            batch: list[int] = []
            for user in rng.sample(users, len(users)):
                if len(batch) == size:
                    break
                if user not in waiting:
                    if self._stopping.is_set() or user in ended or self._left[user] == 0:
                        continue
                    event = self._source.next(user)
                    if event is None:
                        ended.add(user)
                        continue
                    left = self._left[user]
                    self._left[user] = None if left is None else left - 1
                    waiting[user] = event
                    self._ledger.sent[event.event_id] = event
                batch.append(user)
            if not batch:
                return
            if time.monotonic() > self._end:
                raise AssertionError(f"{len(waiting)} events are not acked after {self._patience:g} s")
            front = rng.choice(fronts)
            acked = 0
            doors = {user: self._door(rng, user) for user in batch}
            for door in ("decide", "submit"):
                some = {user: waiting[user] for user in batch if doors[user] == door}
                acked += self._send(front, door, some, waiting)
            time.sleep(self._pause if acked else 0.05)

    def _send(
        self, front: Front, door: str, some: dict[int, event_pb2.Event], waiting: dict[int, event_pb2.Event]
    ) -> int:
        if not some:
            return 0
        try:
            results = (front.decide if door == "decide" else front.submit)(some.values(), timeout=15.0)
        except grpc.RpcError as error:
            # Nothing is known of what became of them.
            if error.code() not in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                grpc.StatusCode.ABORTED,
            ):
                raise
            self._ledger.resent += len(some)
            return 0
        if len(results) != len(some):
            self._ledger.violations.append(f"{len(results)} answers to {len(some)} events")
        acked = 0
        for (user, event), result in zip(some.items(), results, strict=False):
            if self._ledger.note(event, result, door):
                del waiting[user]
                acked += 1
            else:
                self._ledger.resent += 1
        return acked


def decide_only(_rng: random.Random, _user: int) -> str:
    """A door for `Traffic`: Decide for all."""
    return "decide"


def submit_only(_rng: random.Random, _user: int) -> str:
    """A door for `Traffic`: Submit for all."""
    return "submit"


def door_by_user(_rng: random.Random, user: int) -> str:
    """A door for `Traffic`: a third of the viewers use Submit, always.

    Where several processes share the inbox, only one door keeps a viewer's order: an event that waits in the inbox
    may be overtaken by one that is decided at once elsewhere.
    """
    return "submit" if user % 3 == 0 else "decide"


class Books(NamedTuple):
    """What a mesh has on disk for the tenant."""

    decisions: dict[str, decision_pb2.Decision]
    repeated: list[str]
    """Ids of events that lie in the log of decisions more than once."""
    order: dict[str, list[str]]
    """Event ids by viewer, in the order of their positions."""
    profiles: dict[bytes, bytes]
    backlogs: int
    """Viewers with events that are not folded."""
    rows: dict[str, int]
    """Rows by table."""
    messages: set[bytes]
    """Keys of the messages that alerts keeps."""
    told: Counter[str]
    """Messages grouped into alerts, by kind."""
    accounting: ingest_pb2.Accounting


@contextmanager
def database(mesh: Mesh, service: str) -> Iterator[tuple[sa.Connection, str]]:
    """A connection to a service's database and the prefix of its tables."""
    url = mesh.database_url
    engine = sa.create_engine(
        sa.make_url(url or f"sqlite:///{mesh.folder / service}.db").set(
            drivername="postgresql+psycopg" if url else "sqlite+pysqlite"
        )
    )
    try:
        with engine.connect() as connection:
            yield connection, f"{service}." if url else ""
    finally:
        engine.dispose()


def _count(mesh: Mesh, tables: Sequence[str]) -> dict[str, int]:
    with database(mesh, "ingest") as (connection, prefix):
        found = {
            table: int(connection.execute(sa.text(f"SELECT count(*) FROM {prefix}{table}")).scalar_one())
            for table in tables
        }
        # The harness's own: a decision has one row in each of these.
        warm_up = int(
            connection.execute(
                sa.text(f"SELECT count(*) FROM {prefix}decisions WHERE tenant = 'warm-up'")
            ).scalar_one()
        )
    for table in ("receipts", "decisions", "bodies"):
        if table in found:
            found[table] -= warm_up
    return found


def settle(mesh: Mesh, timeout: float = 60.0) -> None:
    """Returns once nothing waits in the inbox or the outbox, and fraud was given all; raises AssertionError."""
    end = time.monotonic() + timeout
    while True:
        waiting = {table: n for table, n in _count(mesh, ("inbox", "outbox", "unsighted")).items() if n}
        if not waiting:
            return
        if time.monotonic() > end:
            raise AssertionError(f"still waiting after {timeout:g} s: {waiting}")
        time.sleep(0.2)


def read_books(mesh: Mesh, front: Front | None = None) -> Books:
    """Reads everything from the databases themselves; the accounting from `front`, else from the first ingest."""
    decisions: dict[str, decision_pb2.Decision] = {}
    repeated: list[str] = []
    order: dict[str, list[str]] = {}
    with database(mesh, "ingest") as (connection, p):
        rows = connection.execute(
            sa.text(
                f"SELECT b.decision FROM {p}bodies b JOIN {p}decisions d ON d.position = b.position "
                "WHERE d.tenant = :tenant ORDER BY d.position"
            ),
            {"tenant": TENANT},
        )
        for (body,) in rows:
            decision = decision_pb2.Decision.FromString(bytes(body))
            if decision.event_id in decisions:
                repeated.append(decision.event_id)
            decisions[decision.event_id] = decision
            order.setdefault(decision.user_id, []).append(decision.event_id)
        found = connection.execute(sa.text(f"SELECT key, body, backlog FROM {p}profiles")).all()
    with database(mesh, "alerts") as (connection, p):
        messages = [
            bytes(key) for (key,) in connection.execute(sa.text(f"SELECT key FROM {p}messages")).all()
        ]
        told: Counter[str] = Counter()
        for kind, n in connection.execute(sa.text(f"SELECT kind, count FROM {p}alerts")).all():
            # A storm's digest stands for alerts, which count their messages themselves.
            if kind != "storm":
                told[kind] += n
    if front is None:
        with mesh.ingest(tenant=TENANT) as first:
            accounting = first.accounting()
    else:
        accounting = front.accounting()
    return Books(
        decisions,
        repeated,
        order,
        {bytes(key): bytes(body) for key, body, _ in found},
        sum(1 for _, _, backlog in found if backlog),
        _count(mesh, ("receipts", "decisions", "bodies", "failed", "inbox", "outbox", "unsighted")),
        set(messages),
        told,
        accounting,
    )


def check_books(books: Books, ledger: Ledger, stream: Stream) -> list[str]:
    """What is wrong with a settled mesh's books against the sender's; nothing if all is well."""
    wrong = list(ledger.violations)
    valid = ledger.valid

    def expect(what: str, found: object, wanted: object) -> None:
        if found != wanted:
            wrong.append(f"{what}: {found}, not {wanted}")

    unacked = set(ledger.sent) - set(ledger.acked)
    expect("sent and not acked", len(unacked), 0)
    missing = valid - set(books.decisions)
    expect("acked and missing", sorted(missing)[:5], [])
    expect("decided and never sent", sorted(set(books.decisions) - valid)[:5], [])
    expect("decided twice", books.repeated[:5], [])
    for table in ("receipts", "decisions", "bodies"):
        expect(f"rows of {table}", books.rows[table], len(valid))
    for table in ("inbox", "outbox", "unsighted"):
        expect(f"rows of {table}", books.rows[table], 0)
    expect("viewers with a backlog", books.backlogs, 0)
    differing = [
        event_id
        for event_id, body in ledger.decisions.items()
        if event_id in books.decisions
        and books.decisions[event_id].SerializeToString(deterministic=True) != body
    ]
    expect("answered otherwise than committed", differing[:5], [])
    disordered = [
        stream.name(user)
        for user, events in enumerate(stream.made)
        if [event.event_id for event in events if is_valid(event)] != books.order.get(stream.name(user), [])
    ]
    expect("viewers whose events were decided out of order", disordered[:5], [])

    a = books.accounting
    refused = sum(a.refused_by_reason.values())
    expect("accounting says balanced", a.balanced, True)
    expect("received", a.received, a.accepted + a.duplicate + a.conflict + refused)
    expect("accepted", a.accepted, a.decided + a.failed + a.superseded + a.pending)
    expect("decided", a.decided, len(valid))
    expect("pending", a.pending, 0)
    expect("conflicts", a.conflict, 0)
    expect("failed", a.failed, books.rows["failed"])

    # Alerts: one message for each undegraded decision to review or block, and one an outage. Of a decision made without
    # fraud or compliance the log does not say whether scoring alone would have asked for a review: it may be told.
    strict = [d for d in books.decisions.values() if d.outcome >= decision_pb2.OUTCOME_REVIEW]
    must = {_message_of(d) for d in strict if not d.degraded}
    may = {_message_of(d) for d in strict if d.degraded and decision_pb2.SERVICE_SCORING not in d.degraded}
    outages = sum(n for kind, n in books.told.items() if kind.startswith("degraded."))
    expect("messages that alerts lacks", len(must - books.messages), 0)
    expect("messages that alerts keeps for no decision", len(books.messages - must - may), outages)
    expect("messages counted in alerts", books.told.total(), len(books.messages))
    return wrong


def _message_of(decision: decision_pb2.Decision) -> bytes:
    blocked = decision.outcome == decision_pb2.OUTCOME_BLOCK
    kind = "decision.block" if blocked else "decision.review"
    return message_key(alerts_pb2.AlertMessage(tenant=TENANT, event_id=decision.event_id, kind=kind))


def check_answers(front: Front, ledger: Ledger) -> list[str]:
    """GetDecision and GetFailedEvent, id by id, against what was acked."""

    def decision(item: tuple[str, bytes]) -> str | None:
        event_id, acked = item
        try:
            found = front.decision(event_id).SerializeToString(deterministic=True)
        except grpc.RpcError as error:
            return f"{event_id}: acked, and GetDecision answers {error.code().name}"
        return None if found == acked else f"{event_id}: GetDecision answers another decision than was acked"

    def failed(item: tuple[str, str]) -> str | None:
        event_id, failed_id = item
        request = ingest_pb2.GetFailedEventRequest(tenant=TENANT, failed_id=failed_id)
        try:
            found = front.stub.GetFailedEvent(request, timeout=10).failed_event
        except grpc.RpcError as error:
            return f"{event_id}: acked as failed, and GetFailedEvent answers {error.code().name}"
        return (
            None if found.event_id == event_id else f"{event_id}: kept as the failed event {found.event_id}"
        )

    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(decision, ledger.decisions.items()), *pool.map(failed, ledger.failed.items())]
    return [answer for answer in answers if answer is not None]


def check_profiles(books: Books, reference: Books, stream: Stream) -> list[str]:
    """Profiles of the stream's viewers that are not byte-equal to the reference's."""
    wrong = []
    for user in range(stream.users):
        key = user_key(TENANT, stream.name(user))
        if not any(is_valid(event) for event in stream.made[user]):
            continue
        if key not in books.profiles or key not in reference.profiles:
            wrong.append(f"{stream.name(user)}: no profile")
        elif books.profiles[key] != reference.profiles[key]:
            wrong.append(f"{stream.name(user)}: the profile differs from that of the undisturbed run")
    return wrong


def check_decisions(books: Books, reference: Books) -> list[str]:
    """Undegraded decisions whose content differs from the reference's: all but what names the run.

    That is position, times, durations, trace and policy set.
    """
    wrong = []
    for event_id, decision in books.decisions.items():
        if decision.degraded:
            continue
        other = reference.decisions.get(event_id)
        if other is None:
            wrong.append(f"{event_id}: not in the reference")
        elif (mine := content(decision)) != (theirs := content(other)):
            fields = [name for name in mine if mine[name] != theirs[name]]
            wrong.append(f"{event_id}: differs from the reference in {', '.join(fields)}")
    return wrong


_NAMES_THE_RUN = frozenset({"decided_time", "position", "stage_us", "trace_id", "policy_set"})


def content(decision: decision_pb2.Decision) -> Mapping[str, bytes]:
    """A decision's fields, each serialised by itself, without those that name the run."""
    fields = {}
    for field, _ in decision.ListFields():
        if field.name not in _NAMES_THE_RUN:
            part = decision_pb2.Decision()
            part.MergeFrom(decision)
            for other, _ in decision.ListFields():
                if other.name != field.name:
                    part.ClearField(other.name)  # type: ignore[arg-type]
            fields[field.name] = part.SerializeToString(deterministic=True)
    return {field.name: fields.get(field.name, b"") for field in decision_pb2.Decision.DESCRIPTOR.fields}


def make_whole(stream: Stream, ledger: Ledger, targets: Sequence[str], rounds: int = 20) -> None:
    """Sends an event of every viewer, again and again until no decision of a round is degraded.

    After it every viewer's profile has caught up with what was decided while scoring was away.
    """
    stream.invalid = 0.0
    for number in range(rounds):
        first = [len(events) for events in stream.made]
        Traffic(stream, ledger, targets, seed=1000 + number, door=decide_only, each=1).finish()
        new = [events[start].event_id for events, start in zip(stream.made, first, strict=True)]
        answered = [decision_pb2.Decision.FromString(ledger.decisions[event_id]) for event_id in new]
        if not any(decision.degraded for decision in answered):
            return
        time.sleep(0.2)
    raise AssertionError(f"decisions are still degraded after {rounds} rounds")


def replay(stream: Stream, mesh: Mesh, *, patience: float = 60.0) -> Books:
    """The same events through a mesh that nobody disturbs; returns its books."""
    ledger = Ledger()
    targets = [mesh.target("ingest")]
    Traffic(Recording(stream), ledger, targets, door=decide_only, pause=0.0, patience=patience).finish()
    settle(mesh)
    assert not ledger.violations, ledger.violations[:5]
    return read_books(mesh)
