"""From outcomes to decisions: labels, retraining, promotion and rollback while events are decided."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import yaml

from cli.home import Home
from cli.scoring import rollback
from services.common.policy import read_policy_set
from simulator.traffic import generate
from tests.harness import ROOT, Mesh
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc, labels_pb2, labels_pb2_grpc
from usher.policy.v1 import policy_pb2, policy_pb2_grpc

START_MS = 1_788_220_800_000
TENANT = "dev"


def socket_of(mesh: Mesh, name: str) -> str:
    return f"unix:{mesh.process(name).socket}"


def retrain(mesh: Mesh, *more: str) -> dict[str, Any]:
    arguments = [
        *("--ingest", socket_of(mesh, "ingest"), "--alerts", socket_of(mesh, "alerts"), "--tenant", TENANT),
        *("--policy-dir", str(mesh.policy), "--models", str(mesh.folder / "models"), "--quick"),
        *("--unlabelled-good-after-days", "90", *more),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "services.scoring.retrain", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def is_abuse(event: event_pb2.Event) -> bool:
    """What this operator calls abuse, and no shipped model was trained on: heartbeats of more than 300 MB."""
    return event.data_volume_bytes > 300_000_000


@pytest.mark.xdist_group("mesh-feedback")
def test_labels_train_a_challenger_that_decides_once_it_is_better(tmp_path: Path) -> None:
    events = [event for event, _ in itertools.islice(generate(11, 40, 3.0, START_MS), 2_500)]
    for event in events:
        event.origin, event.import_id, event.time_zone = event_pb2.ORIGIN_IMPORT, "past", "UTC"
    with Mesh(tmp_path / "mesh") as mesh, grpc.insecure_channel(socket_of(mesh, "ingest")) as channel:
        with mesh.ingest(0, tenant=TENANT) as front:
            for start in range(0, len(events), 250):
                results = front.decide(events[start : start + 250])
                assert all(one.HasField("decision") for one in results)
        labels = labels_pb2_grpc.LabelServiceStub(channel)
        for start in range(0, len(events), 1_000):
            request = labels_pb2.RecordLabelsRequest(tenant=TENANT)
            for event in events[start : start + 1_000]:
                label = request.labels.add(
                    label_id=f"l_{event.event_id}",
                    subject_kind=labels_pb2.LABEL_SUBJECT_EVENT,
                    subject=event.event_id,
                    kind=labels_pb2.LABEL_KIND_FRAUD_CONFIRMED
                    if is_abuse(event)
                    else labels_pb2.LABEL_KIND_LEGITIMATE,
                    source="simulation",
                )
                label.label_time.CopyFrom(event.event_time)
            answer = labels.RecordLabels(request)
            assert {one.status for one in answer.results} == {labels_pb2.LABEL_STATUS_RECORDED}

        policy = policy_pb2_grpc.PolicyServiceStub(channel)
        first = policy.GetActivePolicySet(policy_pb2.GetActivePolicySetRequest()).manifest.policy_set
        with busy(mesh) as decided:
            told = retrain(mesh, "--least-rows", "1000", "--new-labels", "100")
            assert told["promoted"], json.dumps(told)
            assert told["comparison"]["low"] > 0
            assert told["policy_set"] != first
            # Under load it is in force, and decides, everywhere before long; no call was lost on the way.
            wait_for(lambda: told["policy_set"] in decided)
            again = retrain(mesh)
            assert (again["due"], again["promoted"]) == ("", False), "no new label"
            thresholds_moved(mesh, told, first)
            # One command takes model and thresholds back.
            assert rollback(cast(Home, At(mesh)), "test") == 0
            wait_for(lambda: decided[-1] == first)
        feedback = feedback_pb2_grpc.FeedbackServiceStub(channel)
        report = feedback.GetFeedbackReport(feedback_pb2.GetFeedbackReportRequest(tenant=TENANT)).report
        assert report.abusive > 0
        assert told["alarming_groups"], "held up more often than others, and good: so it was labelled"
        alarming = {f"{one.dimension}.{one.group}" for one in report.groups if one.alarming}
        assert set(told["alarming_groups"]) <= alarming
        with grpc.insecure_channel(socket_of(mesh, "alerts")) as there:
            alerts = alerts_pb2_grpc.AlertsServiceStub(there)
            request = alerts_pb2.ListAlertsRequest(tenant=TENANT, kind="duty.fairness")
            # People are told of each, by the job itself.
            wait_for(lambda: {one.entity for one in alerts.ListAlerts(request).alerts} == alarming)
        card = (mesh.folder / "models" / told["challenger"] / "card.md").read_text()
        assert "outcomes of dev" in card


class At:
    """A home whose mesh is another's."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def target(self, service: str) -> str:
        return socket_of(self._mesh, service)


def thresholds_moved(mesh: Mesh, told: dict[str, Any], first: str) -> None:
    """What was confirmed lowered thresholds, false alarms raised them; each step is listed with the set."""
    steps = told["adjustments"]
    assert {one["segment"] for one in steps if one["after"] < one["before"]} == {
        one["segment"] for one in steps if one["confirmed"] > one["false_alarms"]
    }
    assert any(one["after"] < one["before"] for one in steps)
    assert any(one["after"] > one["before"] for one in steps)
    kind = policy_pb2.PART_KIND_SCORING_RULES
    before, after = read_policy_set(mesh.policy, first), read_policy_set(mesh.policy, told["policy_set"])
    listed = json.loads(after.parts(kind)["learning"])["adjustments"]
    assert [{name: one[name] for name in steps[0]} for one in listed] == steps
    held = {
        moment: yaml.safe_load(policies.part(kind, "outcomes"))["adjustments"]["learnt"]
        for moment, policies in (("before", before), ("after", after))
    }
    for one in steps:
        assert [held[moment][one["segment"]] for moment in held] == [one["before"], one["after"]]


@contextlib.contextmanager
def busy(mesh: Mesh) -> Iterator[list[str]]:
    """Decides an event after the other; the policy set of each is in the list. Raises where one is not decided."""
    ended = threading.Event()
    decided: list[str] = []
    lost: list[str] = []

    def send() -> None:
        with mesh.ingest(0, tenant=TENANT) as front:
            for number in itertools.count():
                if ended.is_set():
                    return
                event = event_pb2.Event(
                    event_id=f"busy-{number}",
                    user_id=f"busy-{number % 7}",
                    device_id="d",
                    event_type="play",
                    region="DE",
                    ip_address="192.0.2.1",
                )
                event.event_time.GetCurrentTime()
                (result,) = front.decide([event])
                if not result.HasField("decision") or result.decision.degraded:
                    lost.append(str(result))
                else:
                    decided.append(result.decision.policy_set)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield decided
    finally:
        ended.set()
        thread.join(60)
    assert lost == []
    assert not thread.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
