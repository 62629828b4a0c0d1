"""The shape in which decisions leave, when they are tried again, and what the commands say to what is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from cli.sinks.app import properties_of
from cli.sinks.encoding import Encoding
from cli.sinks.records import body_of, joint_id, message_id, records_of
from cli.sinks.runner import LONGEST_DELAY_SECONDS, pause_after, why
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import ingest_pb2


def decision(event_id: str, position: int = 1, tenant: str = "acme") -> decision_pb2.Decision:
    return decision_pb2.Decision(
        event_id=event_id, tenant=tenant, position=position, outcome=decision_pb2.OUTCOME_REVIEW
    )


def test_the_id_is_the_documented_one() -> None:
    digest = hashlib.sha256(b"acme\x00evt_1\x00decision").hexdigest()
    assert message_id("acme", "evt_1") == f"dec_{digest[:32]}"
    (record,) = records_of([decision("evt_1")], Encoding.JSON)
    assert joint_id([record]) == record.message_id == message_id("acme", "evt_1")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_other_events_have_other_ids(a: str, b: str, c: str, d: str) -> None:
    # No identifier holds a zero byte; then tenant and event cannot be taken for each other.
    one, other = (a.replace("\0", ""), b.replace("\0", "")), (c.replace("\0", ""), d.replace("\0", ""))
    assert (message_id(*one) == message_id(*other)) == (one == other)


def test_several_decisions_have_an_id_together() -> None:
    records = records_of([decision("a", 1), decision("b", 2)], Encoding.JSON)
    assert joint_id(records) == joint_id(list(records))
    assert joint_id(records) != joint_id(records[::-1])
    assert joint_id(records).startswith("decs_")


def test_bodies() -> None:
    made = [decision("a", 1), decision('b"', 2)]
    body = json.loads(body_of(records_of(made, Encoding.JSON), Encoding.JSON))
    assert body["type"] == "decisions.made"
    assert [(one["event_id"], one["outcome"], one["position"]) for one in body["data"]] == [
        ("a", "REVIEW", 1),
        ('b"', "REVIEW", 2),
    ]
    records = records_of(made, Encoding.PROTOBUF)
    assert [decision_pb2.Decision.FromString(one.value) for one in records] == made
    read = ingest_pb2.WatchDecisionsResponse.FromString(body_of(records, Encoding.PROTOBUF))
    assert list(read.decisions) == made


@pytest.mark.parametrize("tries", [1, 2, 5, 40])
def test_pauses_grow_to_five_minutes(tries: int) -> None:
    for _ in range(20):
        assert 1.0 <= pause_after(tries, None) <= LONGEST_DELAY_SECONDS
    assert pause_after(40, None) == LONGEST_DELAY_SECONDS


def test_a_receiver_that_asks_for_more_gets_it_up_to_a_day() -> None:
    assert pause_after(1, 1_000.0) == 1_000.0
    assert pause_after(1, 1e9) == 86_400.0
    assert pause_after(40, 1.0) == LONGEST_DELAY_SECONDS


def test_reasons_are_upper_snake() -> None:
    assert why("ConnectionError") == "CONNECTIONERROR"
    assert why("wrong-type!") == "WRONG_TYPE"
    assert why("") == "ERROR"


def test_properties(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# where\nbootstrap.servers = a:1,b:2\n\nsasl.password=x=y\n")
    assert properties_of(file) == {"bootstrap.servers": "a:1,b:2", "sasl.password": "x=y"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["kafka"], "name the cluster"),
        (["kafka", "--config", "absent"], "cannot be read"),
        (["webhook", "--url", "https://example.com", "--secret-file", "absent"], "cannot be read"),
        (["redis", "--url", "http://x"], "--url"),
        (["redis", "--url-file", "absent"], "cannot be read"),
        (["kafka", "--servers", "127.0.0.1:1", "--metrics", "0.0.0.0:0"], "beyond this machine"),
        (["kafka", "--servers", "127.0.0.1:1", "--metrics", "nothing"], "host:port"),
        (["kafka", "--servers", "127.0.0.1:1", "--target", "unix:relative"], "unix:"),
        (["kafka", "--servers", "127.0.0.1:1", "--tls", "absent"], "tls"),
        (["kafka", "--servers", "127.0.0.1:1", "--config", "unknown.properties"], "no.such"),
    ],
)
def test_what_is_wrong_is_told_with_status_2(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unknown.properties").write_text("no.such.property=1\n")
    given = arguments if "--target" in arguments else [*arguments, "--target", f"unix:{tmp_path}/none"]
    result = CliRunner().invoke(app, ["sink", *given])
    assert result.exit_code == 2, result.stderr
    assert told in result.stderr
