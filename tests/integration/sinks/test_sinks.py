"""`usher sink` as a process: killed in the middle and started again, every decision arrives and is the same at a repeat."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
import trustme
from grpc_health.v1 import health_pb2_grpc

from services.common.server import Health
from services.common.webhooks import key_of, verify
from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest, until
from tests.kafka import MockKafka
from tests.servers import RedisServer
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import flow_pb2, flow_pb2_grpc, ingest_pb2, ingest_pb2_grpc, keys_pb2

ROOT = Path(__file__).resolve().parents[3]
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
PATIENCE = 60.0


@pytest.fixture
async def mesh(short_tmp_path: Path) -> AsyncIterator[FakeMesh]:
    """The four services that ingest asks, as fakes."""
    async with FakeMesh(short_tmp_path) as running:
        yield running


@pytest.fixture
async def front(mesh: FakeMesh, tmp_path: Path) -> AsyncIterator[Front]:
    """A running ingest."""
    async with running_ingest(f"sqlite:///{tmp_path}/ingest.db", mesh) as running:
        yield running


@contextlib.asynccontextmanager
async def sink(
    mesh: FakeMesh, *arguments: str, target: str = ""
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command as a process against the running ingest; killed at the end where it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "cli", "sink", *arguments,
        "--target", target or f"unix:{mesh.folder}/ingest.sock", "--tenant", TENANT,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("USHER_")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def killed(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def stopped(process: asyncio.subprocess.Process) -> str:
    """Ends it in good order; returns what it told."""
    process.send_signal(signal.SIGTERM)
    _, told = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, told.decode()
    return told.decode()


async def decided(front: Front, first: int, number: int) -> list[str]:
    """Has events decided; returns their ids."""
    ids = [f"e{first + index}" for index in range(number)]
    for at in range(0, number, 100):
        some = ids[at : at + 100]
        results = await front.decide([event(one, user=f"u{index}") for index, one in enumerate(some)])
        assert all(result.HasField("decision") for result in results)
    return ids


async def position(front: Front, name: str) -> tuple[int, int]:
    """(position acknowledged, decisions behind) of a subscriber; (-1, -1) where there is none."""
    found = await front.flow.ListSubscribers(flow_pb2.ListSubscribersRequest(tenant=TENANT))
    for one in found.subscribers:
        if one.name == name:
            return one.position, one.lag_decisions
    return -1, -1


async def caught_up(front: Front, name: str) -> None:
    async def nothing_behind() -> bool:
        return (await position(front, name))[1] == 0

    await until(nothing_behind, PATIENCE)


# -- Redis -------------------------------------------------------------------------------------------------


def entries(url: str, stream: str) -> list[dict[bytes, bytes]]:
    with redis.Redis.from_url(url) as client:
        return [fields for _, fields in client.xrange(stream)]


def same_at_repeats(ids: list[str], found: list[tuple[str, bytes]]) -> None:
    """Each id is there, no other, and what came twice is the same to the byte."""
    values: dict[str, bytes] = {}
    for event_id, value in found:
        assert values.setdefault(event_id, value) == value
    assert set(values) == set(ids)


async def test_redis_killed_and_started_again(mesh: FakeMesh, front: Front, redis_url: str) -> None:
    ids = await decided(front, 0, 600)
    options = ("redis", "--url", redis_url, "--stream", "out")
    async with sink(mesh, *options) as process:
        await until(lambda: len(entries(redis_url, "out")) > 0, PATIENCE)
        await killed(process)
    ids += await decided(front, 600, 100)
    async with sink(mesh, *options) as process:
        await caught_up(front, "redis")
        told = await stopped(process)
    assert "no append-only file" in told

    found = entries(redis_url, "out")
    same_at_repeats(ids, [(one[b"event_id"].decode(), one[b"data"]) for one in found])
    by_message = {one[b"id"]: one[b"event_id"] for one in found}
    assert len(by_message) == len(ids)
    one = json.loads(found[0][b"data"])
    assert (one["event_id"], one["tenant"]) == (found[0][b"event_id"].decode(), TENANT)
    assert found[0][b"position"].decode() == str(one["position"])
    assert found[0][b"content_type"] == b"application/json"


async def test_redis_on_disk_and_within_its_length(mesh: FakeMesh, front: Front) -> None:
    await decided(front, 0, 500)
    with RedisServer(durable=True) as server:
        options = ("redis", "--url", server.url, "--stream", "out", "--max-length", "100")
        async with sink(mesh, *options, "--encoding", "protobuf") as process:
            await caught_up(front, "redis")
            told = await stopped(process)
        assert "append-only" not in told
        # What was acknowledged survives a crash of the server.
        server.kill()
        server.start()
        found = entries(server.url, "out")
    # Redis trims whole nodes of its tree: 100 entries by default.
    assert 100 <= len(found) < 300
    assert decision_pb2.Decision.FromString(found[-1][b"data"]).event_id == "e499"


# -- Kafka -------------------------------------------------------------------------------------------------


async def test_kafka_killed_and_started_again(mesh: FakeMesh, front: Front, kafka: MockKafka) -> None:
    topic = await asyncio.to_thread(kafka.topic, "decisions")
    ids = await decided(front, 0, 600)
    options = ("kafka", "--servers", kafka.bootstrap, "--topic", topic, "--encoding", "protobuf")
    async with sink(mesh, *options) as process:
        await asyncio.to_thread(kafka.read, topic, 1)
        await killed(process)
    ids += await decided(front, 600, 100)
    async with sink(mesh, *options) as process:
        await caught_up(front, "kafka")
        await stopped(process)

    number = sum((await asyncio.to_thread(kafka.ends, topic)).values())
    messages = await asyncio.to_thread(kafka.read, topic, number)
    same_at_repeats(ids, [(one.key().decode(), one.value()) for one in messages])
    headers = dict(messages[0].headers())
    decision = decision_pb2.Decision.FromString(messages[0].value())
    assert decision.event_id.encode() == messages[0].key()
    assert headers["usher-tenant"] == TENANT.encode()
    assert headers["usher-position"] == str(decision.position).encode()
    assert headers["content-type"] == b"application/x-protobuf"
    assert len({dict(one.headers())["usher-id"] for one in messages}) == len(ids)


async def test_kafka_that_is_away_loses_nothing(mesh: FakeMesh, front: Front, tmp_path: Path) -> None:
    ids = await decided(front, 0, 20)
    config = tmp_path / "kafka.properties"
    # Port 1: nobody is there. What the file says against the guarantees is not heard.
    config.write_text("# a comment\nbootstrap.servers = 127.0.0.1:1\nacks=0\nenable.idempotence=false\n")
    async with sink(mesh, "kafka", "--config", str(config), "--timeout", "1", "--from-now") as process:
        assert process.stderr is not None
        # It began with new decisions: these are none of its own.
        ids = []
        while not ids or b"nothing is lost" not in await asyncio.wait_for(
            process.stderr.readline(), PATIENCE
        ):
            ids += await decided(front, 1000 + len(ids), 1)
        anchored, behind = await position(front, "kafka")
        await stopped(process)
    assert anchored >= 0
    assert 0 < behind <= len(ids)


# -- webhook -----------------------------------------------------------------------------------------------


class Receiver:
    """A local HTTP server that verifies signatures. `answer` gives status and headers of a call, or None: it hangs."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.answer: Callable[[int], tuple[int, dict[str, str]] | None] = lambda number: (200, {})
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                name = verify(key_of(SECRET), headers, body, float(headers["webhook-timestamp"]))
                assert headers["idempotency-key"] == name
                receiver.calls.append((name, body))
                answer = receiver.answer(len(receiver.calls))
                if answer is None:
                    receiver.released.wait(PATIENCE)
                    return
                self.send_response(answer[0])
                for key, value in answer[1].items():
                    self.send_header(key, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Calls are kept, not told."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/usher"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def data(self) -> list[dict[str, Any]]:
        """The decisions of all calls."""
        return [one for _, body in list(self.calls) for one in json.loads(body)["data"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def hook(receiver: Receiver, tmp_path: Path) -> tuple[str, ...]:
    """Arguments of a webhook to the receiver."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    return ("webhook", "--url", receiver.url, "--secret-file", str(secret), "--allow-network", "127.0.0.0/8")


async def test_webhook_killed_with_calls_under_way(
    mesh: FakeMesh, front: Front, receiver: Receiver, hook: tuple[str, ...]
) -> None:
    ids = await decided(front, 0, 60)
    # Twenty are taken; the others hang, so that the process is in the middle for certain.
    receiver.answer = lambda number: (204, {}) if number <= 20 else None
    async with sink(mesh, *hook, "--timeout", "60") as process:
        await until(lambda: len(receiver.calls) > 20, PATIENCE)
        await killed(process)
    receiver.released.set()
    receiver.answer = lambda number: (204, {})
    async with sink(mesh, *hook) as process:
        await caught_up(front, "webhook")
        await stopped(process)

    same_at_repeats(ids, [(one["event_id"], json.dumps(one).encode()) for one in receiver.data()])
    names: dict[str, str] = {}
    for name, body in receiver.calls:
        (one,) = json.loads(body)["data"]
        assert names.setdefault(one["event_id"], name) == name
    assert len(receiver.calls) > len(ids)


async def test_webhook_that_refuses_is_waited_for(
    mesh: FakeMesh, front: Front, receiver: Receiver, hook: tuple[str, ...]
) -> None:
    ids = await decided(front, 0, 30)
    receiver.answer = lambda number: (400, {"retry-after": "1"})
    async with sink(mesh, *hook, "--per-call", "10", "--in-flight", "1", "--encoding", "json") as process:
        # It comes again for the same decisions, and in between asks for no others.
        await until(lambda: len(receiver.calls) >= 2, PATIENCE)
        assert len({name for name, _ in receiver.calls}) == 1
        assert (await position(front, "webhook"))[1] == len(ids)
        receiver.answer = lambda number: (200, {})
        await caught_up(front, "webhook")
        told = await stopped(process)
    assert "answered 400 (HTTP_400); nothing is lost" in told
    assert "takes decisions again" in told
    order = [one["event_id"] for one in receiver.data()]
    assert order[-30:] == ids


async def test_webhook_to_an_address_inside_is_never_called(
    mesh: FakeMesh, front: Front, receiver: Receiver, hook: tuple[str, ...]
) -> None:
    without = hook[: hook.index("--allow-network")]
    async with sink(mesh, *without) as process:
        _, told = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 2
    assert b"https://" in told
    assert receiver.calls == []


# -- who may -----------------------------------------------------------------------------------------------


async def test_a_key_that_may_read_opens_it(
    mesh: FakeMesh, tmp_path: Path, receiver: Receiver, hook: tuple[str, ...]
) -> None:
    async with running_ingest(
        f"sqlite:///{tmp_path}/keys.db", mesh, senders={"keys_required": True}
    ) as front:
        rights = [keys_pb2.KEY_RIGHT_READ, keys_pb2.KEY_RIGHT_DECIDE]
        made = await front.keys.CreateKey(
            keys_pb2.CreateKeyRequest(tenant=TENANT, name="sink", rights=rights)
        )
        request = ingest_pb2.DecideEventsRequest(tenant=TENANT, events=[event("e1")])
        await front.ingest.DecideEvents(request, metadata=[("x-api-key", made.secret)])
        async with sink(mesh, *hook) as process:
            _, told = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 2
        assert b"KEY_MISSING" in told
        key = tmp_path / "key"
        key.write_text(made.secret)
        async with sink(mesh, *hook, "--key-file", str(key)) as process:
            await caught_up(front, "webhook")
            await stopped(process)
    assert [one["event_id"] for one in receiver.data()] == ["e1"]


# -- beyond this machine -----------------------------------------------------------------------------------


class Elsewhere(ingest_pb2_grpc.IngestServiceServicer, flow_pb2_grpc.FlowServiceServicer):
    """An ingest with one decision, that keeps who asked and what was acknowledged."""

    def __init__(self) -> None:
        self.callers: set[str] = set()
        self.acknowledged: list[int] = []

    async def WatchDecisions(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.callers.update(
            name.decode() for name in context.auth_context().get("x509_subject_alternative_name", ())
        )
        made = decision_pb2.Decision(event_id="e1", tenant=request.tenant, position=7)
        yield ingest_pb2.WatchDecisionsResponse(decisions=[made])
        while True:
            yield ingest_pb2.WatchDecisionsResponse()
            await asyncio.sleep(0.1)

    async def AckDecisions(self, request: Any, context: Any) -> Any:
        self.acknowledged.append(request.position)
        return flow_pb2.AckDecisionsResponse(position=request.position)


async def test_over_mutual_tls(
    mesh: FakeMesh, tmp_path: Path, receiver: Receiver, hook: tuple[str, ...]
) -> None:
    ca = trustme.CA()
    folder = tmp_path / "tls"
    folder.mkdir()
    ours = ca.issue_cert("backend")
    ours.private_key_pem.write_to_path(folder / "tls.key")
    ours.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    ca.cert_pem.write_to_path(folder / "ca.crt")
    theirs = ca.issue_cert("127.0.0.1")
    credentials = grpc.ssl_server_credentials(
        [(theirs.private_key_pem.bytes(), theirs.cert_chain_pems[0].bytes())],
        root_certificates=ca.cert_pem.bytes(),
        require_client_auth=True,
    )
    elsewhere, server = Elsewhere(), grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(elsewhere, server)
    flow_pb2_grpc.add_FlowServiceServicer_to_server(elsewhere, server)
    health = Health(["usher.ingest.v1.IngestService"])
    health.set_serving(True)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        async with sink(mesh, *hook, "--tls", str(folder), target=f"127.0.0.1:{port}") as process:
            await until(lambda: 7 in elsewhere.acknowledged, PATIENCE)
            await stopped(process)
    finally:
        await server.stop(0)
    assert elsewhere.callers == {"backend"}
    # First it takes its place, then it says how far it is.
    assert elsewhere.acknowledged == [6, 7]
    assert [one["event_id"] for one in receiver.data()] == ["e1"]
