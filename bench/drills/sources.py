"""`python -m bench.drills sources`: every way in at once, ingest and sources killed, the sender's ledger against ours.

    python -m bench.drills sources                              40 kills on SQLite, then 40 on PostgreSQL
    python -m bench.drills sources --database sqlite --kills 6  a short one

Events flow by gRPC (both doors), HTTP, Kafka (two processes of one group), a Redis stream (two consumers of one group) and a
followed file; some come by two ways at once, one in forty is invalid, and what lies in the sources is now and then no
event at all. With SIGKILL ingest dies, then a source, then ingest, then the gateway, and so on, each started again. At the
end every source must be settled to its last record and the ledgers agree id by id: all that was sent is decided, once, or
kept as failed; nothing else is; what was answered is what was committed; the accounting closes; and what came by gRPC, a
partition or a file was decided in its viewer's order.

Kafka is librdkafka's cluster in memory, Redis is a server that syncs every write. Exit status: 0 if all is well, 1 if
anything is not. Runs on loopback, in a folder of its own, and ends by itself.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import orjson
import redis
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.common.event_json import event_to_json
from services.ingest.sources.records import identifier
from tests.harness import Mesh
from tests.kafka import PARTITIONS, MockKafka
from tests.ledger import PATIENT, TENANT, Books, Ledger, Stream, Traffic, is_valid, read_books, settle
from tests.servers import PostgresServer, RedisServer
from tests.sources import SourceProcess, as_json
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

VIEWERS = 24
"""Of each way in."""
STEPS_AFTER_KILLS = 2
_LONGEST_RUN_S = 1.5
_BATCH = 8
_PAUSE_S = 0.15
_PATIENCE_S = 240.0
_POISON = (b"{", b"\xff\xfe", b"[1]", b"not an event")
STREAM = "events"
GROUP = "drill"

console = Console(stderr=True)


@dataclass
class Result:
    """What one drill found."""

    database: str
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    """Events by way in, those that came by two of them under both."""
    poison: int = 0
    decided: int = 0
    failed: int = 0
    repeated: int = 0
    """Events that came again and were known: by a second way, or after a kill."""
    violations: list[str] = field(default_factory=list)


class Sent:
    """The sender's ledger of what it put into sources and sent over HTTP. Each way in writes keys of its own."""

    def __init__(self) -> None:
        self.events: dict[str, event_pb2.Event] = {}
        self.poison: set[str] = set()
        """Ids under which records that are no events must be kept."""
        self.answered: dict[str, dict[str, Any]] = {}
        """Decisions answered over HTTP."""
        self.errors: list[str] = []


class Way:
    """A thread that makes a stream's events and sends them one way, until it is stopped."""

    def __init__(
        self,
        stream: Stream,
        sent: Sent,
        seed: int,
        put: Callable[[Sequence[tuple[event_pb2.Event | None, bytes]]], Sequence[str]],
    ) -> None:
        """`put` writes (event, bytes) of records, None for poison, and returns the place of each once it is written."""
        self._stream = stream
        self._sent = sent
        self._rng = random.Random(f"{seed} {stream.name(0)}")
        self._put = put
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.count = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            self._sent.errors.append(f"{self._stream.name(0)}: the way did not end")

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                batch: list[tuple[event_pb2.Event | None, bytes]] = []
                for _ in range(self._rng.randint(1, _BATCH)):
                    if self._rng.random() < 0.02:
                        batch.append((None, self._rng.choice(_POISON)))
                    else:
                        event = self._stream.next(self._rng.randrange(self._stream.users))
                        batch.append((event, as_json(event)))
                places = self._put(batch)
                for (event, _), place in zip(batch, places, strict=True):
                    if event is None and place:
                        self._sent.poison.add(identifier(place))
                    elif event is not None:
                        self._sent.events[event.event_id] = event
                        self.count += 1
                time.sleep(_PAUSE_S)
        except (AssertionError, OSError, KafkaException, redis.RedisError, httpx.HTTPError) as error:
            # Told by the thread that compares.
            self._sent.errors.append(f"{self._stream.name(0)}: {error!r}")


class Http:
    """Events over HTTP, and some of those that came by other ways once more."""

    def __init__(self, url: str, sent: Sent) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=20.0)
        self._sent = sent

    def put(self, batch: Sequence[tuple[event_pb2.Event | None, bytes]]) -> list[str]:
        """Sends events until they are answered; poison is left out, since HTTP refuses it to the sender's face."""
        events = [event for event, _ in batch if event is not None]
        # Of the way that promises no order, so that the order of the others can be compared.
        others = [one for one in list(self._sent.events.values())[-200:] if one.event_id.startswith("redis")]
        events += others[-1:]
        end = time.monotonic() + _PATIENCE_S
        while events:
            body = orjson.dumps({"events": [event_to_json(event) for event in events]})
            try:
                answer = self._client.post(
                    "/api/v1/decisions", content=body, headers={"content-type": "application/json"}
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in (200, 207):
                again = []
                for event, one in zip(events, answer.json()["decisions"], strict=True):
                    if one.get("outcome"):
                        self._sent.answered[event.event_id] = one
                    elif one.get("status") == "refused":
                        again.append(event)
                events = again
            elif answer is not None and answer.status_code not in (422, 429, 502, 503, 504):
                raise AssertionError(f"HTTP {answer.status_code}: {answer.text[:300]}")
            elif answer is not None and answer.status_code == 422:
                return [""] * len(batch)
            if events:
                if time.monotonic() > end:
                    raise AssertionError("HTTP answers no more")
                time.sleep(0.1)
        return [""] * len(batch)


def drill(
    folder: Path, database_url: str | None, kills: int, seed: int, step: Callable[[str], None]
) -> Result:
    """Runs one drill.

    Args:
        folder: an empty folder of the drill's own.
        database_url: an empty PostgreSQL database; None for SQLite files in the folder.
        kills: how often something is killed, at least 1.
        seed: of the traffic and of the moments.
        step: told what is being done, once a kill and twice after.
    """
    rng = random.Random(seed)
    result = Result("SQLite" if database_url is None else "PostgreSQL", seed)
    sent, ledger = Sent(), Ledger()
    path = folder / "events.jsonl"
    path.touch()
    with ExitStack() as stack:
        kafka = stack.enter_context(MockKafka())
        topic = kafka.topic("drill")
        server = stack.enter_context(RedisServer(durable=True))
        (folder / "redis-url").write_text(server.url)
        mesh = stack.enter_context(
            Mesh(folder / "mesh", database_url=database_url, env=PATIENT, gateway=True)
        )
        sources = _sources(folder, mesh, kafka, topic, path)
        stack.callback(_end, sources.values())
        for one in sources.values():
            one.start()
        streams = {
            way: Stream(seed, VIEWERS, f"{way}{seed}") for way in ("grpc", "http", "kafka", "redis", "file")
        }
        ways = {
            "http": Way(streams["http"], sent, seed, Http(mesh.http, sent).put),
            "kafka": Way(streams["kafka"], sent, seed, _to_kafka(kafka, topic)),
            "redis": Way(streams["redis"], sent, seed, _to_redis(redis.Redis.from_url(server.url))),
            "file": Way(streams["file"], sent, seed, _to_file(path)),
        }
        by_grpc = Traffic(
            streams["grpc"],
            ledger,
            mesh.targets("ingest"),
            seed=seed,
            pause=_PAUSE_S,
            workers=1,
            patience=_PATIENCE_S,
            door=lambda _, user: "submit" if user % 2 else "decide",
        )
        with by_grpc:
            for way in ways.values():
                way.start()
            names = ["kafka-0", "redis-0", "gateway", "file", "kafka-1", "redis-1"]
            for number in range(1, kills + 1):
                victim = "ingest" if number % 2 else names[(number // 2 - 1) % len(names)]
                step(f"kill {number} of {kills}: {victim}")
                time.sleep(rng.uniform(0.2, _LONGEST_RUN_S))
                _kill(mesh, sources, victim)
                result.kills[victim] += 1
            for way in ways.values():
                way.stop()
        step("waiting until every source is settled")
        _wait_settled(kafka, topic, redis.Redis.from_url(server.url), path, sources)
        settle(mesh, timeout=_PATIENCE_S)
        step("comparing id by id")
        books = read_books(mesh)
        kept = _failed(mesh)
        result.violations += _compare(books, kept, sent, ledger, streams)
        result.violations += _answers(mesh, sent)
    result.sent.update({name: way.count for name, way in ways.items()})
    result.sent["grpc"] = len(ledger.sent)
    result.poison, result.decided, result.failed = len(sent.poison), len(books.decisions), len(kept)
    result.repeated = books.accounting.duplicate
    return result


def _sources(folder: Path, mesh: Mesh, kafka: MockKafka, topic: str, path: Path) -> dict[str, SourceProcess]:
    shared = {"TENANT": TENANT, "REPORT_SECONDS": 1, "BATCH_EVENTS": 64}
    of_kafka = {"KAFKA_BOOTSTRAP": kafka.bootstrap, "KAFKA_TOPICS": topic, "KAFKA_GROUP": GROUP}
    of_redis = {
        "REDIS_URL_FILE": folder / "redis-url",
        "REDIS_STREAM": STREAM,
        "REDIS_GROUP": GROUP,
        "REDIS_CLAIM_SECONDS": 3,
    }
    target = mesh.target("ingest")
    made = {
        **{f"kafka-{one}": ("kafka", of_kafka) for one in range(2)},
        **{f"redis-{one}": ("redis", of_redis) for one in range(2)},
        "file": ("file", {"FILE_PATH": path, "FILE_FOLLOW": "true"}),
    }
    return {
        name: SourceProcess(folder, target, kind, {**shared, **settings}, name)
        for name, (kind, settings) in made.items()
    }


def _end(sources: Iterable[SourceProcess]) -> None:
    for one in sources:
        if one.running:
            one.stop(9)


def _kill(mesh: Mesh, sources: dict[str, SourceProcess], victim: str) -> None:
    if victim in sources:
        sources[victim].stop(9)
        sources[victim].start()
        return
    mesh.kill(victim)
    mesh.start(victim)


# -- the ways ------------------------------------------------------------------------------------------


def _to_kafka(kafka: MockKafka, topic: str) -> Callable[..., list[str]]:
    def put(batch: Sequence[tuple[event_pb2.Event | None, bytes]]) -> list[str]:
        places = []
        for number, (event, text) in enumerate(batch):
            partition = (hash_of(event.user_id) if event is not None else number) % PARTITIONS
            is_bytes = event is not None and number % 2 == 1
            ((_, offset),) = kafka.produce(
                topic,
                [event.SerializeToString() if is_bytes and event is not None else text],
                partition=partition,
                headers={"content-type": b"application/x-protobuf"} if is_bytes else None,
            )
            places.append(f"kafka:{topic}/{partition}/{offset}")
        return places

    return put


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(text.encode())


def _to_redis(client: redis.Redis) -> Callable[..., list[str]]:
    def put(batch: Sequence[tuple[event_pb2.Event | None, bytes]]) -> list[str]:
        ids: Any = [client.xadd(STREAM, {"event": text}) for _, text in batch]
        return [f"redis:{STREAM}/{one.decode()}" for one in ids]

    return put


def _to_file(path: Path) -> Callable[..., list[str]]:
    def put(batch: Sequence[tuple[event_pb2.Event | None, bytes]]) -> list[str]:
        places = []
        with path.open("ab") as out:
            for _, text in batch:
                places.append(f"file:{path.name}/{out.tell()}")
                out.write(text + b"\n")
        return places

    return put


# -- the comparison ------------------------------------------------------------------------------------


def _wait_settled(
    kafka: MockKafka, topic: str, client: redis.Redis, path: Path, sources: dict[str, SourceProcess]
) -> None:
    """Returns once every source's own books say that nothing waits; raises AssertionError."""
    end = time.monotonic() + _PATIENCE_S
    position = path.with_name(f"{path.name}.position")
    while True:
        left = {}
        if (found := kafka.committed(GROUP, topic)) != (wanted := kafka.ends(topic)):
            left["kafka"] = f"{found} of {wanted}"
        groups: Any = client.xinfo_groups(STREAM)
        if groups[0]["pending"] or groups[0]["lag"]:
            left["redis"] = str(groups[0])
        offset = json.loads(position.read_text())["offset"] if position.exists() else 0
        if offset != path.stat().st_size:
            left["file"] = f"{offset} of {path.stat().st_size}"
        if not left:
            return
        dead = [name for name, one in sources.items() if not one.running]
        if dead or time.monotonic() > end:
            tails = "\n".join(sources[name].tail() for name in dead)
            raise AssertionError(f"not settled: {left}; ended: {dead}\n{tails}")
        time.sleep(0.3)


def _failed(mesh: Mesh) -> Counter[str]:
    """How often each event id is kept as failed."""
    found: Counter[str] = Counter()
    token = ""
    with mesh.ingest(tenant=TENANT) as front:
        while True:
            answer = front.stub.ListFailedEvents(
                ingest_pb2.ListFailedEventsRequest(tenant=TENANT, page_size=1000, page_token=token),
                timeout=30,
            )
            found.update(one.event_id for one in answer.failed_events)
            token = answer.next_page_token
            if not token:
                return found


def _compare(
    books: Books, kept: Counter[str], sent: Sent, ledger: Ledger, streams: dict[str, Stream]
) -> list[str]:
    wrong = [*sent.errors, *ledger.violations]

    def expect(what: str, found: object, wanted: object) -> None:
        if found != wanted:
            wrong.append(f"{what}: {found}, not {wanted}")

    everything = {**sent.events, **ledger.sent}
    valid = {event_id for event_id, event in everything.items() if is_valid(event)}
    invalid = set(everything) - valid
    decided = set(books.decisions)
    expect("gRPC: sent and not acked", sorted(set(ledger.sent) - set(ledger.acked))[:5], [])
    expect("sent and not decided", sorted(valid - decided)[:5], [])
    expect("decided and never sent", sorted(decided - valid)[:5], [])
    expect("decided twice", books.repeated[:5], [])
    expect("rows of receipts", books.rows["receipts"], len(valid))
    expect("invalid and not kept", sorted(invalid - set(kept))[:5], [])
    expect("no events, and not kept under their places", sorted(sent.poison - set(kept))[:5], [])
    expect("kept as failed for no reason", sorted(set(kept) - invalid - sent.poison)[:5], [])
    for name in ("grpc", "kafka", "file"):
        stream = streams[name]
        disordered = [
            stream.name(user)
            for user, events in enumerate(stream.made)
            if [one.event_id for one in events if is_valid(one)] != books.order.get(stream.name(user), [])
        ]
        expect(f"viewers of {name} whose events were decided out of order", disordered[:5], [])
    answered = {
        event_id
        for event_id, body in ledger.decisions.items()
        if event_id not in books.decisions
        or books.decisions[event_id].SerializeToString(deterministic=True) != body
    }
    expect("answered otherwise than committed", sorted(answered)[:5], [])
    a = books.accounting
    expect("accounting says balanced", a.balanced, True)
    expect("received", a.received, a.accepted + a.duplicate + a.conflict + sum(a.refused_by_reason.values()))
    expect("accepted", a.accepted, a.decided + a.failed + a.superseded + a.pending)
    expect("decided", a.decided, len(valid))
    expect("pending and conflicts", (a.pending, a.conflict), (0, 0))
    return wrong


def _answers(mesh: Mesh, sent: Sent) -> list[str]:
    """What HTTP answered against what it answers now."""
    wrong = []
    with httpx.Client(base_url=mesh.http, trust_env=False, timeout=20.0) as client:
        for event_id, before in list(sent.answered.items())[-300:]:
            now = client.get(f"/api/v1/decisions/{event_id}")
            if now.status_code != 200 or now.json().get("outcome") != before.get("outcome"):
                wrong.append(f"{event_id}: answered {before.get('outcome')} over HTTP, now {now.text[:120]}")
    return wrong


# -- the command ---------------------------------------------------------------------------------------


def table(results: list[Result]) -> Table:
    """The results, one column a drill."""
    made = Table(title="Every way in at once", show_header=True)
    made.add_column("")
    for result in results:
        made.add_column(result.database, justify="right")
    rows: dict[str, Callable[[Result], str]] = {
        "kills": lambda r: "\n".join(f"{name}: {n}" for name, n in sorted(r.kills.items())),
        "events sent": lambda r: "\n".join(f"{name}: {n:,}" for name, n in sorted(r.sent.items())),
        "records that were no events": lambda r: f"{r.poison:,}",
        "decided": lambda r: f"{r.decided:,}",
        "kept as failed, by id": lambda r: f"{r.failed:,}",
        "came again and were known": lambda r: f"{r.repeated:,}",
        "seed": lambda r: str(r.seed),
        "violations": lambda r: f"[bold red]{len(r.violations)}[/]" if r.violations else "[green]none[/]",
    }
    for name, cell in rows.items():
        made.add_row(name, *(cell(result) for result in results))
    return made


def main(arguments: Sequence[str]) -> int:
    """Parses arguments, runs the drills, prints what they found."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.drills sources",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--kills", type=int, default=40, help="kills a database (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the traffic and the moments (default 1)")
    args = parser.parse_args(arguments)
    if args.kills < 1:
        parser.error("--kills is at least 1")
    results: list[Result] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as progress:
        for name in ("sqlite", "postgresql") if args.database == "both" else (args.database,):
            task = progress.add_task(name, total=args.kills + STEPS_AFTER_KILLS, now="starting the mesh")

            def step(what: str, task: Any = task) -> None:
                progress.update(task, advance=1, now=what)

            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="usher-drill-")))
                url = stack.enter_context(PostgresServer()).url if name == "postgresql" else None
                try:
                    results.append(drill(folder, url, args.kills, args.seed, step))
                except (AssertionError, grpc.RpcError) as error:
                    results.append(Result(name, args.seed, violations=[str(error)]))
    console.print(table(results))
    wrong = [f"{result.database}: {violation}" for result in results for violation in result.violations]
    for line in wrong[:20]:
        console.print(line, style="red", markup=False, highlight=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
