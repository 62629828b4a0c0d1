"""An erasure over the whole mesh: nothing is left anywhere, whatever is killed on the way."""

from __future__ import annotations

import base64
import itertools
import json
import random
import shutil
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import redis
from google.protobuf.timestamp_pb2 import Timestamp

from services.common import signed
from tests.harness import Mesh, free_port
from usher.compliance.v1 import records_pb2, records_pb2_grpc
from usher.event.v1 import event_pb2
from usher.ingest.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    ingest_pb2,
    labels_pb2,
    labels_pb2_grpc,
    lists_pb2,
    lists_pb2_grpc,
)

R = records_pb2
TENANT = "dev"
USER, OTHER = "viewer-Anna-4711", "viewer-Bob-4712"
DEVICE, ADDRESS, CARD = "tv-of-anna-0815", "81.2.69.142", "card-of-anna-9f"
ENV = {
    "USHER_COMPLIANCE_RECORDS_SETTLE_SECONDS": "0.2",
    "USHER_COMPLIANCE_RECORDS_SWEEP_SECONDS": "0.1",
    "USHER_COMPLIANCE_RECORDS_LONGEST_RETRY_SECONDS": "0.5",
}
"""Of compliance; `environment` adds where each service shows its metrics."""
SERVICES = ("ingest", "compliance", "scoring", "fraud", "alerts")


def environment() -> dict[str, str]:
    """What the processes are told, on free ports."""
    return ENV | {
        f"USHER_{name.upper()}_SERVER_METRICS_ADDRESS": f"127.0.0.1:{free_port()}" for name in SERVICES
    }


def events(user: str, number: int, **fields: Any) -> list[event_pb2.Event]:
    """Ordinary and suspicious events of one viewer, failed sign-ins among them."""
    made = []
    for index in range(number):
        kind = ("play", "login", "export")[index % 3]
        values: dict[str, Any] = {
            "event_id": f"ev-{user}-{index}",
            "user_id": user,
            "device_id": DEVICE if user == USER else f"device-{user}",
            "event_type": kind,
            "region": "NL",
            "ip_address": ADDRESS if user == USER else "192.0.2.9",
            "payment_fingerprint": CARD if user == USER else "",
            **fields,
        }
        values = {
            name: value for name, value in values.items() if name in event_pb2.Event.DESCRIPTOR.fields_by_name
        }
        one = event_pb2.Event(**values)
        if kind == "login" and "success" in event_pb2.Event.DESCRIPTOR.fields_by_name:
            one.success = False
        one.event_time.FromMilliseconds(time.time_ns() // 1_000_000)
        made.append(one)
    return made


class Desk:
    """Who answers requests: a blocking client of compliance."""

    def __init__(self, mesh: Mesh) -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        self.channel = grpc.insecure_channel(mesh.target("compliance"), options=options)
        self.requests = records_pb2_grpc.SubjectRequestServiceStub(self.channel)
        self.evidence = records_pb2_grpc.EvidenceServiceStub(self.channel)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def open(self, right: int, **fields: Any) -> str:
        values: dict[str, Any] = {"user_id": USER, "jurisdiction": "NL", "identity_confirmed": True, **fields}
        request = R.OpenSubjectRequestRequest(tenant=TENANT, right=right, actor="desk", **values)  # type: ignore[arg-type]
        return self.requests.OpenSubjectRequest(request, timeout=20).request.request_id

    def fulfil(self, request_id: str) -> None:
        self.requests.ActOnSubjectRequest(
            R.ActOnSubjectRequestRequest(
                tenant=TENANT,
                request_id=request_id,
                action=R.SUBJECT_REQUEST_ACTION_FULFIL,
                actor="desk",
            ),
            timeout=20,
        )

    def get(self, request_id: str) -> R.SubjectRequest:
        request = R.GetSubjectRequestRequest(tenant=TENANT, request_id=request_id, actor="desk")
        return self.requests.GetSubjectRequest(request, timeout=2).request

    def until(
        self, request_id: str, state: int, meanwhile: Callable[[], None] = lambda: None
    ) -> R.SubjectRequest:
        """The request once it is in a state."""
        end = time.monotonic() + 90
        while True:
            try:
                found = self.get(request_id)
            except grpc.RpcError:
                found = R.SubjectRequest()
            if found.state == state:
                return found
            assert time.monotonic() < end, found
            meanwhile()
            time.sleep(0.05)

    def key(self) -> Any:
        text = self.evidence.GetSigningKey(R.GetSigningKeyRequest(), timeout=20).public_key
        return signed.read_public_pem(text.encode())


def needles() -> list[bytes]:
    """What no store may hold afterwards, in every form in which it might lie there."""
    found = []
    for text in (USER, f"ev-{USER}-", DEVICE, CARD, "home-of-anna"):
        raw = text.encode()
        found += [raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]
    return found


def files_that_hold(folder: Path, wanted: list[bytes]) -> list[str]:
    """Files below a folder that hold one of some byte strings: databases with their logs, snapshots, logs, all."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path.name}: {one!r}" for one in wanted if one in content]
    return found


def rows_that_hold(url: str, wanted: list[bytes]) -> list[str]:
    """Tables of all schemas of a PostgreSQL database that hold one."""
    found = []
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema IN ('ingest', 'compliance', 'fraud', 'alerts')"
        ).fetchall()
        assert len(tables) > 20
        for schema, table in tables:
            for row in connection.execute(f'SELECT * FROM "{schema}"."{table}"'):
                content = b"\0".join(v if isinstance(v, bytes) else str(v).encode() for v in row)
                found += [f"{schema}.{table}: {one!r}" for one in wanted if one in content]
    return found


def keys_that_hold(url: str, wanted: list[bytes]) -> list[str]:
    """Keys of a Redis database that hold one, in name or content."""
    found = []
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter("*", count=1000):
            kind = client.type(key)
            if kind == b"hash":
                parts = list(itertools.chain.from_iterable(client.hgetall(key).items()))  # type: ignore[union-attr]
            elif kind == b"zset":
                parts = list(client.zrange(key, 0, -1))  # type: ignore[arg-type]
            elif kind == b"set":
                parts = list(client.smembers(key))  # type: ignore[arg-type]
            else:
                parts = [client.get(key) or b""]
            content = b"\0".join([key, *parts])
            found += [f"{key!r}: {one!r}" for one in wanted if one in content]
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mesh]:
    made: dict[str, Any] = {"env": environment()}
    if request.param == "postgresql":
        made["database_url"] = request.getfixturevalue("postgres_url")
        made["redis_url"] = request.getfixturevalue("redis_url")
    with Mesh(tmp_path / "mesh", **made) as running:
        yield running


def fill(mesh: Mesh) -> tuple[list[event_pb2.Event], list[event_pb2.Event]]:
    mine, others = events(USER, 40), events(OTHER, 12)
    with mesh.ingest() as front:
        for start in range(0, 40, 10):
            front.decide(mine[start : start + 10])
        front.decide(others)
        wrong = events(USER, 1)[0]
        wrong.event_id, wrong.region = f"ev-{USER}-failed", "nowhere"
        front.decide([wrong])
        waiting = events(USER, 2)
        for index, one in enumerate(waiting):
            one.event_id = f"ev-{USER}-submitted-{index}"
        front.submit(waiting)
        end = time.monotonic() + 30
        while front.accounting().pending and time.monotonic() < end:
            time.sleep(0.05)
    return mine, others


def tell_more(mesh: Mesh) -> None:
    """What a platform and its people tell beside events: facts of the account, labels, confirmations, a list entry."""
    target = mesh.target("ingest")
    with grpc.insecure_channel(target) as channel:
        now = Timestamp()
        now.GetCurrentTime()
        facts = accounts_pb2.RecordAccountsRequest(tenant=TENANT)
        told = facts.accounts.add(user_id=USER, as_of_time=now)
        told.facts.email_domain, told.facts.household_id = "mail.example", "home-of-anna"
        answer: Any = accounts_pb2_grpc.AccountServiceStub(channel).RecordAccounts(facts, timeout=20)
        assert [one.error for one in answer.results] == [""]
        labels = labels_pb2.RecordLabelsRequest(tenant=TENANT)
        subjects = {
            "l-user": (labels_pb2.LABEL_SUBJECT_USER, USER),
            "l-event": (labels_pb2.LABEL_SUBJECT_EVENT, f"ev-{USER}-0"),
        }
        for label_id, (kind, name) in subjects.items():
            labels.labels.add(
                label_id=label_id,
                subject_kind=kind,
                subject=name,
                kind=labels_pb2.LABEL_KIND_FRAUD_CONFIRMED,
                source="analyst",
                label_time=now,
            )
        answer = labels_pb2_grpc.LabelServiceStub(channel).RecordLabels(labels, timeout=20)
        assert {one.status for one in answer.results} == {labels_pb2.LABEL_STATUS_RECORDED}
        entry = lists_pb2.ListEntry(
            kind=lists_pb2.LIST_KIND_ALLOW,
            entity_kind=lists_pb2.LISTED_ENTITY_USER,
            entity=USER,
            reason="a test",
            actor="desk",
        )
        wanted = lists_pb2.SetListEntryRequest(tenant=TENANT, entry=entry)
        lists_pb2_grpc.ListServiceStub(channel).SetListEntry(wanted, timeout=20)


def metrics_that_hold(mesh: Mesh, wanted: list[bytes]) -> list[str]:
    """Services whose metrics name one."""
    found = []
    for name in SERVICES:
        address = mesh.process(name).env[f"USHER_{name.upper()}_SERVER_METRICS_ADDRESS"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
            content = answer.read()
        assert b"usher_" in content
        found += [f"{name}: {one!r}" for one in wanted if one in content]
    return found


def assert_nowhere(mesh: Mesh) -> None:
    wanted = needles()
    assert files_that_hold(mesh.folder, wanted) == []
    if mesh.database_url:
        assert rows_that_hold(mesh.database_url, wanted) == []
        redis_url = (mesh.folder / "redis-url").read_text()
        assert keys_that_hold(redis_url, wanted) == []


def assert_somewhere(mesh: Mesh) -> None:
    """The scan sees what is there before the erasure: it is not blind."""
    found = files_that_hold(mesh.folder, [USER.encode()])
    if mesh.database_url:
        found += rows_that_hold(mesh.database_url, [USER.encode()])
        assert keys_that_hold((mesh.folder / "redis-url").read_text(), [USER.encode()])
    assert found


def assert_gone(mesh: Mesh, mine: list[event_pb2.Event], others: list[event_pb2.Event]) -> None:
    with mesh.ingest() as front:
        results = front.decide(mine[:5])
        assert [one.failure.reason for one in results] == ["GONE"] * 5
        with pytest.raises(grpc.RpcError) as refused:
            front.decision(mine[0].event_id)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        assert "ERASED" in str(refused.value.details())
        kept = front.decide(others)
        assert {one.status for one in kept} == {ingest_pb2.EVENT_STATUS_DUPLICATE}
        assert front.accounting().balanced


def test_nothing_of_the_subject_is_left_anywhere(mesh: Mesh) -> None:
    mine, others = fill(mesh)
    tell_more(mesh)
    assert_somewhere(mesh)
    with Desk(mesh) as desk:
        bundle = desk.open(R.SUBJECT_RIGHT_ACCESS)
        download = R.DownloadSubjectExportRequest(tenant=TENANT, request_id=bundle, actor="desk")
        content = b"".join(p.content for p in desk.requests.DownloadSubjectExport(download, timeout=60))
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = set(archive.namelist())
            assert {"README.txt", "logic.txt", "decisions.json", "decisions.csv", "profile.json"} <= names
            assert len(json.loads(archive.read("decisions.json"))) == 42
            everything = b"".join(archive.read(name) for name in names)
        assert USER.encode() in everything
        assert OTHER.encode() not in everything
        assert desk.get(bundle).state == R.SUBJECT_REQUEST_STATE_COMPLETED

        request_id = desk.open(R.SUBJECT_RIGHT_ERASURE)
        desk.fulfil(request_id)
        done = desk.until(request_id, R.SUBJECT_REQUEST_STATE_COMPLETED)

        certificate = json.loads(done.certificate)
        assert signed.verify(certificate, desk.key())
        assert certificate["remaining"] == 0
        assert certificate["erased"]["ingest/decisions"] == 42
        assert certificate["erased"]["ingest/failed_events"] == 1
        assert certificate["erased"]["fraud/memory"] > 0
        assert done.user_id == ""
        changed = {**certificate, "remaining": 1}
        with pytest.raises(signed.SignatureError):
            signed.verify(changed)
        assert desk.evidence.VerifyAudit(R.VerifyAuditRequest(), timeout=20).intact
    time.sleep(0.5)
    assert_nowhere(mesh)
    assert metrics_that_hold(mesh, needles()) == []
    assert_gone(mesh, mine, others)


CRASHES = (
    "begun",
    "entered",
    "after.alerts",
    "after.fraud",
    "after.scoring",
    "after.ingest",
    "verified",
    "certified",
)


@pytest.mark.parametrize("mesh", ["sqlite"], indirect=True)
def test_an_erasure_that_is_killed_anywhere_comes_to_its_end(mesh: Mesh) -> None:
    mine, others = fill(mesh)
    rng = random.Random(4711)
    with Desk(mesh) as desk:
        request_id = desk.open(R.SUBJECT_RIGHT_ERASURE)
        points = list(CRASHES)
        kills = ["ingest", "fraud", "alerts"]
        process = mesh.process("compliance")
        process.stop()
        mesh.start("compliance", extra={"USHER_FAULTS": "1", "USHER_CRASH_AT": f"erasure.{points.pop(0)}"})
        desk.fulfil(request_id)

        def again() -> None:
            if not process.running:
                point = points.pop(0) if points else ""
                extra = {"USHER_FAULTS": "1", "USHER_CRASH_AT": f"erasure.{point}"} if point else {}
                process.start(extra)
            elif kills and rng.random() < 0.2:
                name = kills.pop()
                mesh.kill(name)
                mesh.start(name)

        done = desk.until(request_id, R.SUBJECT_REQUEST_STATE_COMPLETED, again)
        if not process.running:
            process.start()
            process.wait_serving()
        assert signed.verify(json.loads(done.certificate), desk.key())
        time.sleep(1.5)
    assert len(points) < len(CRASHES) - 3, "it was killed at several points"
    assert_nowhere(mesh)
    assert_gone(mesh, mine, others)


@pytest.mark.parametrize("mesh", ["sqlite"], indirect=True)
def test_a_backup_that_is_put_back_serves_only_once_the_ledger_was_applied(
    mesh: Mesh, tmp_path: Path
) -> None:
    mine, others = fill(mesh)
    ingest = mesh.process("ingest")
    ingest.stop()
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(mesh.folder / "ingest.db", backup)
    mesh.start("ingest")
    with Desk(mesh) as desk:
        request_id = desk.open(R.SUBJECT_RIGHT_ERASURE)
        desk.fulfil(request_id)
        desk.until(request_id, R.SUBJECT_REQUEST_STATE_COMPLETED)
    ingest.stop()
    mesh.process("compliance").stop()
    for path in mesh.folder.glob("ingest.db-*"):
        path.unlink()
    shutil.copy(backup / "ingest.db", mesh.folder / "ingest.db")
    shutil.rmtree(backup)

    ingest.start()
    with pytest.raises(AssertionError, match="does not serve"):
        ingest.wait_serving(timeout=3)
    mesh.start("compliance")
    ingest.wait_serving()

    time.sleep(0.5)
    assert_nowhere(mesh)
    assert_gone(mesh, mine, others)
