"""Bad input through HTTP and gRPC: what concerns the whole call refuses it with limit and position; what concerns one
event is told of that event, completely, and the others are decided. The processes go on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest

from tests.harness import LEAVES, SERVICES, Front, Mesh
from tests.scenarios import DECIDED, FAILED, Refusal, as_json, event, new_id
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1 import compliance_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2
from usher.ingest.v1 import ingest_pb2
from usher.policy.v1 import policy_pb2
from usher.scoring.v1 import scoring_pb2

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("mesh-bad-input")]

JSON = {"content-type": "application/json"}
PROBLEM = "application/problem+json"
PATHS = ("/events", "/api/v1/decisions")
DOORS = ("SubmitEvents", "DecideEvents")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("bad"), gateway=True) as running:
        yield running


@pytest.fixture
def http(mesh: Mesh) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mesh.http, timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def front(mesh: Mesh) -> Iterator[Front]:
    with mesh.ingest() as client:
        yield client


@pytest.fixture(autouse=True)
def goes_on(mesh: Mesh, http: httpx.Client, front: Front) -> Iterator[None]:
    """Afterwards the same processes decide the next event over both, and the books close."""
    before = [mesh.process(name).pid for name in (*SERVICES, "gateway")]
    yield
    assert all(mesh.process(name).running for name in (*SERVICES, "gateway"))
    assert [mesh.process(name).pid for name in (*SERVICES, "gateway")] == before
    answer = http.post("/api/v1/decisions", json=as_json(event("afterwards")))
    assert answer.status_code == 200
    [result] = front.decide([event("afterwards")])
    assert result.status == DECIDED
    assert not result.decision.degraded
    books = front.accounting()
    assert books.balanced


# -- the whole call ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_five_mebibytes_over_http(http: httpx.Client, path: str) -> None:
    body = json.dumps(as_json(event("big")) | {"extra_metadata": {"x": "y" * (5 * MIB)}}).encode()
    answer = http.post(path, content=body, headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["reason"] == "BODY_TOO_LARGE"
    assert answer.json()["metadata"]["limit"] == str(4 * MIB)


@pytest.mark.parametrize("door", DOORS)
def test_five_mebibytes_over_grpc(front: Front, door: str) -> None:
    refused = call_raw(front.channel, f"/usher.ingest.v1.IngestService/{door}", b"\0" * (5 * MIB))
    assert refused is not None
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(4 * MIB) in refused.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", ["list", "envelope", "lines"])
def test_ten_thousand_events_over_http(http: httpx.Client, path: str, form: str) -> None:
    one = json.dumps({"event_id": "e", "user_id": "u"})
    body = "\n".join([one] * 10_000) if form == "lines" else "[" + ",".join([one] * 10_000) + "]"
    if form == "envelope":
        body = f'{{"events": {body}}}'
    headers = {"content-type": "application/x-ndjson"} if form == "lines" else JSON
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["reason"] == "TOO_MANY_EVENTS"
    assert answer.json()["metadata"] == {"limit": "2000", "count": "10000"}


@pytest.mark.parametrize("door", DOORS)
def test_ten_thousand_events_over_grpc(front: Front, door: str) -> None:
    before = front.accounting()
    batch = ingest_pb2.EventBatch(
        tenant="dev", events=[event_pb2.Event(event_id="e").SerializeToString()] * 10_000
    )
    refused = call_raw(front.channel, f"/usher.ingest.v1.IngestService/{door}", batch.SerializeToString())
    assert refused is not None
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "TOO_MANY_EVENTS"
    assert refused.metadata == {"limit": "2000", "events": "10000"}
    after = front.accounting()
    assert after.received - before.received == 10_000
    assert after.refused_by_reason["TOO_MANY_EVENTS"] - before.refused_by_reason["TOO_MANY_EVENTS"] == 10_000


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b'{"event_id": "a",,}', 17),
        (b'{"event_id": "a"', 16),
        (b'[{"event_id": "a"} {"event_id": "b"}]', 19),
        (b'{"event_id": "\xff"}', 14),
        (b'{"events": [{"event_id": "\xc3\x28"}]}', 26),
        (b"", 0),
        (b'{"event_id": "a"} x', 18),
    ],
    ids=["two-commas", "cut-off", "no-comma", "not-utf-8", "half-a-letter", "empty", "something-after"],
)
def test_broken_json(http: httpx.Client, path: str, body: bytes, position: int) -> None:
    answer = http.post(path, content=body, headers=JSON)
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["reason"] == "MALFORMED_JSON"
    assert problem["metadata"]["position"] == str(position)


@pytest.mark.parametrize("path", PATHS)
def test_a_broken_line_of_json_lines_is_named(http: httpx.Client, path: str) -> None:
    body = b'{"event_id": "a"}\n{"event_id": "b"\n'
    answer = http.post(path, content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 400
    assert answer.json()["metadata"] == {"position": "34", "line": "2"}


def test_json_nested_beyond_reason(http: httpx.Client) -> None:
    answer = http.post("/events", content=b"[" * 100_000, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["reason"] == "TOO_DEEP"
    assert answer.json()["metadata"] == {"limit": "64", "position": "64"}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\x0a\x05abc", "MALFORMED_MESSAGE"),  # event_id announces 5 bytes, 3 follow
        (b"\x0a\x02\xff\xfe", "MALFORMED_MESSAGE"),  # event_id is not UTF-8
        (b"\x0f", "MALFORMED_MESSAGE"),  # there is no wire type 7
        (event_pb2.Event(metadata_json=b"x" * 70_000).SerializeToString(), "EVENT_TOO_LARGE"),
    ],
    ids=["truncated", "not-utf-8", "no-wire-type", "too-large"],
)
def test_broken_protobuf_names_the_event(front: Front, door: str, bad: bytes, reason: str) -> None:
    before = front.accounting()
    good = [event("beside").SerializeToString() for _ in range(4)]
    batch = ingest_pb2.EventBatch(tenant="dev", events=[*good[:3], bad, good[3]])
    refused = call_raw(front.channel, f"/usher.ingest.v1.IngestService/{door}", batch.SerializeToString())
    assert refused is not None
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == reason
    assert refused.metadata["position"] == "3"
    assert refused.violations == [("events[3]", reason)]
    if reason == "EVENT_TOO_LARGE":
        assert refused.metadata["limit"] == "65536"
    after = front.accounting()
    assert after.refused_by_reason[reason] - before.refused_by_reason[reason] == 5
    assert after.decided == before.decided


@pytest.mark.parametrize("door", DOORS)
def test_a_request_that_is_no_message(front: Front, door: str) -> None:
    refused = call_raw(front.channel, f"/usher.ingest.v1.IngestService/{door}", b"\x12\x7fabc")
    assert refused is not None
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "MALFORMED_MESSAGE"


# -- one event of many ---------------------------------------------------------------------------------

Wrong = tuple[Callable[[dict[str, Any]], None], set[tuple[str, str]]]


def _set(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is ...:
                del body[name]
            else:
                body[name] = value

    return change


BAD_JSON: dict[str, Wrong] = {
    "missing": (_set(user_id=..., timestamp=...), {("user_id", "MISSING"), ("timestamp", "MISSING")}),
    "empty": (_set(user_id="", ip_address=""), {("user_id", "MISSING"), ("ip_address", "MISSING")}),
    "wrong-type": (
        _set(device_id=7, is_eu="yes", has_consent=1, extra_metadata=[1], timestamp=1_700_000_000),
        {
            (name, "WRONG_TYPE")
            for name in ("device_id", "is_eu", "has_consent", "extra_metadata", "timestamp")
        },
    ),
    "nan": (
        _set(data_volume_bytes=float("nan"), extra_metadata={"rate": float("inf")}),
        {("data_volume_bytes", "NUMBER_INVALID"), ("extra_metadata.rate", "NUMBER_INVALID")},
    ),
    "year-9999": (_set(timestamp="9999-12-31T23:59:59Z"), {("timestamp", "TIME_OUT_OF_RANGE")}),
    "no-time": (_set(timestamp="yesterday"), {("timestamp", "TIME_INVALID")}),
    "address": (_set(ip_address="999.1.1.1"), {("ip_address", "IP_ADDRESS_INVALID")}),
    "mapped": (_set(ip_address="::ffff:192.0.2.1"), {("ip_address", "IP_ADDRESS_IPV4_MAPPED")}),
    "all-at-once": (
        _set(
            user_id=...,
            device_id=9,
            timestamp="9999-01-01T00:00:00Z",
            ip_address="999.1.1.1",
            region="nowhere",
        ),
        {
            ("user_id", "MISSING"),
            ("device_id", "WRONG_TYPE"),
            ("timestamp", "TIME_OUT_OF_RANGE"),
            ("ip_address", "IP_ADDRESS_INVALID"),
            ("region", "REGION_INVALID"),
        },
    ),
}


def test_bad_events_over_http_fail_alone(http: httpx.Client, front: Front) -> None:
    before = front.accounting()
    bodies = []
    for number, (change, _) in enumerate(BAD_JSON.values()):
        bodies.append(as_json(event(f"good{number}")))
        bodies.append(as_json(event(f"bad{number}")))
        change(bodies[-1])
    # Python writes NaN and Infinity, which JSON does not have; so may others.
    answer = http.post("/api/v1/decisions", content=json.dumps({"events": bodies}), headers=JSON)
    assert answer.status_code == 207
    results = answer.json()["decisions"]
    assert [r["event_id"] for r in results] == [b["event_id"] for b in bodies]
    assert {r["status"] for r in results[::2]} == {"decided"}
    for (name, (_, expected)), result in zip(BAD_JSON.items(), results[1::2], strict=True):
        assert (name, result["status"]) == (name, "failed")
        assert result["failed_id"].startswith("failed_")
        assert {(v["field"], v["reason"]) for v in result["violations"]} == expected, name
    after = front.accounting()
    assert after.failed - before.failed == len(BAD_JSON)
    assert after.decided - before.decided == len(BAD_JSON)


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_bad_event_alone_over_http(http: httpx.Client, name: str) -> None:
    change, expected = BAD_JSON[name]
    body = as_json(event("alone"))
    change(body)
    answer = http.post("/events", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422
    assert {(v["field"], v["reason"]) for v in answer.json()["errors"]} == expected


def test_something_that_is_no_event_fails_alone(http: httpx.Client) -> None:
    answer = http.post("/api/v1/decisions", json=[as_json(event("good")), 5, None, "text", []])
    assert answer.status_code == 207
    assert [r["status"] for r in answer.json()["decisions"]] == ["decided"] + ["failed"] * 4
    for result in answer.json()["decisions"][1:]:
        assert ("", "WRONG_TYPE") in {(v["field"], v["reason"]) for v in result["violations"]}


def test_bad_events_over_grpc_fail_alone(front: Front) -> None:
    far = event("bad")
    far.event_time.seconds = 253_402_300_799  # 9999-12-31T23:59:59Z
    cases: list[tuple[event_pb2.Event, set[tuple[str, str]]]] = [
        (
            event_pb2.Event(event_id=new_id()),
            {
                (name, "MISSING")
                for name in ("user_id", "device_id", "event_type", "event_time", "region", "ip_address")
            },
        ),
        (far, {("event_time", "TIME_OUT_OF_RANGE")}),
        (event("bad", ip_address="999.1.1.1"), {("ip_address", "IP_ADDRESS_INVALID")}),
        (event("bad", ip_address="::ffff:192.0.2.1"), {("ip_address", "IP_ADDRESS_IPV4_MAPPED")}),
        (event("bad", metadata_json=b'{"rate": NaN}'), {("metadata", "MALFORMED_JSON")}),
        (event("bad", metadata_json=b"\xff"), {("metadata", "MALFORMED_JSON")}),
        (
            event("bad", device_id="a b", region="nowhere", ip_address="1.2.3"),
            {
                ("device_id", "IDENTIFIER_INVALID"),
                ("region", "REGION_INVALID"),
                ("ip_address", "IP_ADDRESS_INVALID"),
            },
        ),
    ]
    sent = [each for bad, _ in cases for each in (event("good"), bad)]
    results = front.decide(sent)
    assert [r.event_id for r in results] == [e.event_id for e in sent]
    assert {r.status for r in results[::2]} == {DECIDED}
    for (_, expected), result in zip(cases, results[1::2], strict=True):
        assert result.status == FAILED
        assert result.failure.failed_id.startswith("failed_")
        assert {(v.field, v.reason) for v in result.failure.violations} == expected


def test_a_field_of_another_wire_type_is_a_missing_one(front: Front) -> None:
    """Field 1 as a number: protobuf keeps it as unknown, so the event has no id and is given one."""
    whole = event("typed")
    whole.ClearField("event_id")
    batch = ingest_pb2.EventBatch(tenant="dev", events=[b"\x08\x05" + whole.SerializeToString()])
    call = front.channel.unary_unary(
        "/usher.ingest.v1.IngestService/DecideEvents",
        request_serializer=None,
        response_deserializer=ingest_pb2.DecideEventsResponse.FromString,
    )
    [result] = call(batch.SerializeToString(), timeout=10).results
    assert result.status == FAILED
    assert result.event_id == result.failure.failed_id
    assert [(v.field, v.reason) for v in result.failure.violations] == [("event_id", "MISSING")]


# -- no text of ours gets out ----------------------------------------------------------------------------

_OURS = (
    "Traceback",
    "Error(",
    "Exception",
    ".py",
    "sqlite",
    "SELECT",
    "INSERT",
    "NoneType",
    "object has no",
    "0x",
)


def call_raw(channel: grpc.Channel, method: str, request: bytes) -> Refusal | None:
    """Sends bytes as they are; None where they were answered."""
    try:
        channel.unary_unary(method, request_serializer=None, response_deserializer=None)(request, timeout=10)
    except grpc.RpcError as error:
        return Refusal(error)
    return None


def _methods() -> list[tuple[str, str]]:
    """(service of the mesh, path) of every unary method of the contracts that are served."""
    found = []
    served = {
        "ingest": (ingest_pb2, policy_pb2),
        "compliance": (compliance_pb2,),
        "scoring": (scoring_pb2,),
        "fraud": (fraud_pb2,),
        "alerts": (alerts_pb2,),
    }
    for name, modules in served.items():
        for module in modules:
            for service in module.DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    if not method.server_streaming:
                        found.append((name, f"/{service.full_name}/{method.name}"))
    return found


@pytest.mark.parametrize("name", ["ingest", *LEAVES])
def test_no_malformed_request_brings_an_unexpected_exception_out(mesh: Mesh, name: str) -> None:
    rng = random.Random(20261122)
    shapes = [
        b"\xff" * 40,
        b"\x0a\x05abc",
        b"\x0a\x03dev" + b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # field 2 is -1
        b"\x0a\x03dev" + b"\x1a\x02\xff\xfe",  # field 3 is not UTF-8
        b"\x0a\x03dev" + b"\x12\x03abc" * 3,
        b"\x0a\x03dev" + b"\x1a\x03abc" * 3,
        b"",
        *(rng.randbytes(rng.randrange(1, 60)) for _ in range(30)),
        *(b"\x0a\x03dev" + rng.randbytes(rng.randrange(1, 60)) for _ in range(30)),
    ]
    asked = 0
    with grpc.insecure_channel(mesh.target(name), options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        for service, path in _methods():
            if service != name:
                continue
            for shape in shapes:
                refused = call_raw(channel, path, shape)
                asked += 1
                if refused is None:
                    continue
                assert refused.code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), (
                    path,
                    shape,
                    refused.text,
                )
                told = refused.text + refused.raw.decode("latin-1")
                assert not [word for word in _OURS if word in told], (path, shape, told)
    assert asked >= len(shapes)
