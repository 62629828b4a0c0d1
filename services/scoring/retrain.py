"""Learns from outcomes: `python -m services.scoring.retrain`; `usher scoring retrain` and a daily job run it.

A process of its own at low priority, never on the way of events. It reads decided events with the features of their
decision and the labels from ingest, and in this order

1. reports rates by group and an estimate of what was missed, and raises an alert where a group is treated unlike the
   others;
2. lets outcomes move the thresholds of segments within their bounds (`learn`);
3. where a day has gone by or 100 mature labels have come since the last training, trains a challenger on a split by
   time and compares it with the champion on held-back time; it is promoted only where it is better with significance.

What 2 and 3 change goes into one new policy set, which ingest puts in force only once scoring has loaded it; calls under
way end under the old one, and `usher scoring rollback` takes it back.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import orjson

from services.common import feedback_policy
from services.common.client import grpc_target
from services.common.config import ConfigError, load
from services.common.errors import UsherError, from_rpc_error
from services.common.policy import Part, PolicySet, read_policy_set, write_policy_set
from services.common.transport import (
    MAX_MESSAGE_BYTES,
    TlsSettings,
    message_and_keepalive_options,
)
from services.scoring import card as cards
from services.scoring import compare, fairness, features, learn, outcomes, train
from services.scoring.detector import Sizes
from services.scoring.extract import Extractor
from services.scoring.model import Ensemble
from services.scoring.norms import read_norms
from services.scoring.outcomes import Known, Truth
from services.scoring.rules import SEGMENTS, read_rules
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc, labels_pb2, labels_pb2_grpc
from usher.policy.v1 import policy_pb2, policy_pb2_grpc

LEARNING = "learning"
"""Part of kind SCORING_RULES: what was learnt of thresholds, newest last, and through which label."""
ACTOR = "retrain"
FAIRNESS_KIND = "duty.fairness"
MODEL_FILES = {
    (policy_pb2.PART_KIND_MODEL, "ensemble"): "ensemble.onnx",
    (policy_pb2.PART_KIND_MODEL_CARD, "ensemble"): "ensemble.json",
    (policy_pb2.PART_KIND_MODEL_CARD, "trees"): "trees.json",
    (policy_pb2.PART_KIND_NORMS, "population"): "norms.json",
}
_TIMEOUT_S = 60.0
_DAY_MS = 86_400_000
_MOST_LISTED = 200
_MOST_EVENTS = 2_000_000


class Plan(NamedTuple):
    """What the job is asked to do."""

    tenant: str
    policy_dir: Path
    models: Path
    new_labels: int = 100
    every_hours: float = 24.0
    unlabelled_good_after_days: float = 60.0
    least_rows: int = 2_000
    seed: int = train.Plan().seed
    quick: bool = False
    force: bool = False
    promote: bool = True


class Stored(NamedTuple):
    """Decided events in order of event time: what is known of them, and what training needs."""

    known: list[Known]
    rows: features.Floats
    columns: Any
    policy_sets: list[str]


class Ingest:
    """The calls to ingest (and alerts), blocking."""

    def __init__(self, ingest: grpc.Channel, alerts: grpc.Channel | None, tenant: str) -> None:
        self.tenant = tenant
        self._feedback = feedback_pb2_grpc.FeedbackServiceStub(ingest)
        self._labels = labels_pb2_grpc.LabelServiceStub(ingest)
        self._policy = policy_pb2_grpc.PolicyServiceStub(ingest)
        self._alerts = None if alerts is None else alerts_pb2_grpc.AlertsServiceStub(alerts)

    def labels(self) -> Iterator[labels_pb2.Label]:
        """All labels, in the order of recording."""
        request = labels_pb2.ListLabelsRequest(tenant=self.tenant, page_size=1_000)
        more = True
        while more:
            answer = _call(self._labels.ListLabels, request)
            yield from answer.labels
            request.page_token, more = answer.next_page_token, answer.more

    def events(self) -> Iterator[feedback_pb2.TrainingEvent]:
        """All decided events that may be learnt from, in order of position."""
        request = feedback_pb2.ListTrainingEventsRequest(tenant=self.tenant)
        more = True
        while more:
            answer = _call(self._feedback.ListTrainingEvents, request)
            yield from answer.events
            request.after_position, more = answer.next_position, answer.more

    def activations(self) -> list[str]:
        """Policy sets that were in force, newest first."""
        request = policy_pb2.ListActivationsRequest(page_size=1_000)
        return [one.policy_set for one in _call(self._policy.ListActivations, request).activations]

    def activate(self, policy_set: str) -> None:
        """Puts a set in force. Raises FailedPrecondition where a service cannot use it."""
        _call(
            self._policy.ActivatePolicySet,
            policy_pb2.ActivatePolicySetRequest(policy_set=policy_set, actor=ACTOR),
        )

    def report(self, report: feedback_pb2.FeedbackReport) -> None:
        """Keeps a report, and tells people of groups that alarm."""
        _call(self._feedback.PutFeedbackReport, feedback_pb2.PutFeedbackReportRequest(report=report))
        messages = [fairness_alert(report, one) for one in report.groups if one.alarming]
        if messages and self._alerts is not None:
            _call(self._alerts.RaiseAlerts, alerts_pb2.RaiseAlertsRequest(messages=messages))


def fairness_alert(
    report: feedback_pb2.FeedbackReport, group: feedback_pb2.GroupRates
) -> alerts_pb2.AlertMessage:
    """The message that a group is treated unlike the others; one a day and group."""
    way = "more" if group.ratio > 1 else "fewer"
    message = alerts_pb2.AlertMessage(
        tenant=report.tenant,
        event_id=f"fairness.{group.dimension}.{group.group}.{report.time.ToMilliseconds() // _DAY_MS}",
        kind=FAIRNESS_KIND,
        entity_kind="group",
        entity=f"{group.dimension}.{group.group}",
        severity=alerts_pb2.SEVERITY_MEDIUM,
        summary=f"{group.dimension} {group.group} meets {way} false alarms than others: {group.ratio:.2f} times",
    )
    message.event_time.CopyFrom(report.time)
    return message


def read_events(ingest: Ingest, fits: set[str], progress: Any) -> Stored:
    """Reads the events, newest policy sets' features only: those that the models' registry names."""
    raw: list[tuple[int, feedback_pb2.TrainingEvent]] = []
    for one in ingest.events():
        if len(one.features) != features.WIDTH:
            continue
        event = event_pb2.Event.FromString(one.event)
        raw.append((event.event_time.ToMilliseconds(), one))
        if len(raw) % 1_000 == 0:
            progress(len(raw))
        if len(raw) >= _MOST_EVENTS:
            raise ValueError(
                f"more than {_MOST_EVENTS:,} events: shorten their retention or train on a sample"
            )
    raw.sort(key=lambda pair: (pair[0], pair[1].position))
    known = []
    for at_ms, one in raw:
        event = event_pb2.Event.FromString(one.event)
        known.append(Known.of(one, event.event_id, event.user_id, at_ms))
    extractor = Extractor([0] * len(raw), [], event_pb2.Places())
    extractor.read([one.event for _, one in raw], 0, len(raw))
    extracted = extractor.finish()
    kept = set(extracted.positions)
    usable = [index for index in range(len(raw)) if index in kept and raw[index][1].policy_set in fits]
    place = {position: number for number, position in enumerate(extracted.positions)}
    at = np.array([place[index] for index in usable], np.intp)
    columns = (extracted.columns.kind[at], extracted.columns.volume[at]) if usable else ((), ())
    rows = np.array([raw[index][1].features for index in usable], np.float32).reshape(-1, features.WIDTH)
    return Stored(
        [known[index] for index in usable], rows, columns, [raw[index][1].policy_set for index in usable]
    )


def traffic_of(stored: Stored, truths: Sequence[Truth]) -> train.Traffic:
    """The events of which something is known, as training takes them."""
    viewers: dict[str, int] = {}
    kind, volume = stored.columns
    traffic = train.Traffic(
        stored.rows,
        np.array([one.event_ms // 1000 for one in stored.known], np.int64),
        np.array([viewers.setdefault(one.user_id, len(viewers)) for one in stored.known], np.int64),
        np.array([truth.abusive for truth in truths], bool),
        np.array([truth.abusive or bool(truth.finding) for truth in truths], bool),
        np.array([truth.kind for truth in truths], np.str_),
        np.array(kind, np.int64),
        np.array(volume, np.int64),
    )
    return traffic.part(np.nonzero([truth.known for truth in truths])[0])


def newest_training(models: Path, tenant: str) -> tuple[int, float]:
    """Mature labels and time (Unix seconds) of the last training from this tenant's outcomes; (0, 0) where none was."""
    found = (0, 0.0)
    for path in models.glob("m_*/ensemble.json"):
        told = orjson.loads(path.read_bytes()).get("feedback", {})
        if told.get("tenant") == tenant and told["time"] > found[1]:
            found = (int(told["mature_labels"]), float(told["time"]))
    return found


def is_due(plan: Plan, mature: int, now: float) -> str:
    """Why training is due; empty where it is not."""
    labels, trained = newest_training(plan.models, plan.tenant)
    if plan.force:
        return "asked for"
    if mature - labels >= plan.new_labels:
        return f"{mature - labels} new mature labels"
    if mature > labels and now - trained >= plan.every_hours * 3600:
        return f"{plan.every_hours:g} hours gone by"
    return ""


def challenge(
    plan: Plan, champion: PolicySet, traffic: train.Traffic, mature: int, now: float
) -> tuple[Path, compare.Comparison]:
    """Trains a challenger, compares it with the champion on held-back time, and keeps it with its card.

    Raises ValueError where the events do not suffice.
    """
    if len(traffic.rows) < plan.least_rows:
        raise ValueError(f"{len(traffic.rows):,} events with a known outcome; {plan.least_rows:,} are needed")
    recipe = train.Plan(seed=plan.seed, warm_days=0.0, by_events=True)
    if plan.quick:
        sizes = Sizes(20, 10, 6, (32,), 150, 0.05)
        recipe = recipe._replace(sizes=sizes, boosting_trees=40, most_rows=4_000)
    parts = train.split(recipe, traffic)
    source = f"outcomes of {plan.tenant}"
    with tempfile.TemporaryDirectory(dir=plan.models, prefix=".training-") as made:
        card = train.train(recipe, traffic, None, source, Path(made) / "model")
        model = Ensemble((Path(made) / "model" / "ensemble.onnx").read_bytes(), orjson.dumps(card))
        held = traffic.part(parts.measure)
        old = Ensemble(*(champion.part(kind, name) for kind, name in list(MODEL_FILES)[:2]))
        scored = []
        for one, norms in (
            (old, champion.part(policy_pb2.PART_KIND_NORMS, "population")),
            (model, (Path(made) / "model" / "norms.json").read_bytes()),
        ):
            scored.append(train.scores_of(one, train.renorm(held, read_norms(norms)).rows)[:, 3])
        comparison = compare.compare(held.violating, scored[0], scored[1], held.viewer, plan.seed)
        card["feedback"] = {
            "tenant": plan.tenant,
            "mature_labels": mature,
            "time": now,
            "champion": old.card["sha256"],
            "comparison": comparison._asdict(),
        }
        style = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        (Path(made) / "model" / "ensemble.json").write_bytes(orjson.dumps(card, option=style))
        cards.write(Path(made) / "model", card)
        place = plan.models / f"m_{card['sha256'][:12]}"
        if place.exists():
            shutil.rmtree(place)
        shutil.move(f"{made}/model", place)
    return place, comparison


def learnt_parts(
    champion: PolicySet,
    history: Sequence[PolicySet],
    known: Sequence[Known],
    truths: Sequence[Truth],
    labels: outcomes.Labels,
    now_ms: int,
) -> tuple[list[Part], list[learn.Adjustment]]:
    """The parts that outcomes since the last learning change; none where they change nothing.

    Each label teaches once, even where what it taught was rolled back: the last label that any set of the history learnt
    from is where it goes on.
    """
    through = max((_learning(one)["through"] for one in history), default=0)
    found = []
    for one, truth in zip(known, truths, strict=True):
        label = labels.events.get(one.event_id)
        if label is None or label.position <= through or not 1 <= one.segment <= len(SEGMENTS):
            continue
        if truth.abusive or one.would_be >= fairness.REVIEW:
            found.append(learn.Outcome(SEGMENTS[one.segment - 1], truth.abusive))
    rules = champion.part(policy_pb2.PART_KIND_SCORING_RULES, "outcomes")
    norms = read_norms(champion.part(policy_pb2.PART_KIND_NORMS, "population"))
    held = read_rules(rules, norms.values).learnt
    adjustments = learn.learn({name: float(held[n]) for n, name in enumerate(SEGMENTS, 1)}, found)
    if not adjustments:
        return [], []
    told = _learning(champion)
    told["through"] = max(labels.through, through)
    told["adjustments"] = [
        *told["adjustments"],
        *({**one._asdict(), "reason": one.reason, "time_ms": now_ms} for one in adjustments),
    ][-_MOST_LISTED:]
    kind = policy_pb2.PART_KIND_SCORING_RULES
    return [
        Part(kind, "outcomes", learn.apply(rules, adjustments)),
        Part(kind, LEARNING, orjson.dumps(told, option=orjson.OPT_INDENT_2)),
    ], adjustments


def _learning(policy_set: PolicySet) -> dict[str, Any]:
    content = policy_set.parts(policy_pb2.PART_KIND_SCORING_RULES).get(LEARNING)
    return orjson.loads(content) if content is not None else {"through": 0, "adjustments": []}


def run(plan: Plan, ingest: Ingest) -> dict[str, Any]:
    """Does all of it once; returns what came of it."""
    now = time.time()
    now_ms = int(now * 1000)
    plan.models.mkdir(parents=True, exist_ok=True)
    activations = ingest.activations()
    champion = read_policy_set(plan.policy_dir, activations[0])
    history = _sets(plan.policy_dir, activations)
    version = features.REGISTRY_VERSION
    fits = {one.id for one in history if _registry(one) == version}
    labels = outcomes.settle(ingest.labels(), now_ms)
    with cards.progress() as bar:
        stored = read_events(ingest, fits, bar("reading events"))
        truths = outcomes.truths(labels, stored.known, now_ms, plan.unlabelled_good_after_days)
        content = champion.parts(policy_pb2.PART_KIND_SCORING_RULES).get(feedback_policy.PART)
        policy = feedback_policy.read(content) if content is not None else feedback_policy.FeedbackPolicy()
        report = fairness.report(
            plan.tenant,
            now_ms,
            stored.known,
            truths,
            lambda event_id: policy.in_sample(plan.tenant, event_id),
        )
        ingest.report(report)
        told: dict[str, Any] = {
            "events": len(stored.known),
            "abusive": report.abusive,
            "good": report.good,
            "mature_labels": labels.mature,
            "alarming_groups": [f"{one.dimension}.{one.group}" for one in report.groups if one.alarming],
        }
        changed, adjustments = learnt_parts(champion, history, stored.known, truths, labels, now_ms)
        told["adjustments"] = [{**one._asdict(), "reason": one.reason} for one in adjustments]
        told["due"] = is_due(plan, labels.mature, now)
        told["promoted"] = False
        if told["due"]:
            try:
                traffic = traffic_of(stored, truths)
                bar("training and comparing")(len(traffic.rows))
                place, comparison = challenge(plan, champion, traffic, labels.mature, now)
            except ValueError as error:
                told["not_trained"] = str(error)
            else:
                told["challenger"] = place.name
                told["comparison"] = {
                    name: None if value != value else value for name, value in comparison._asdict().items()
                }
                if comparison.better and plan.promote:
                    changed += [
                        Part(kind, name, (place / file).read_bytes())
                        for (kind, name), file in MODEL_FILES.items()
                    ]
                    told["promoted"] = True
    if changed:
        replaced = {(part.kind, part.name) for part in changed}
        parts = [
            Part(part.kind, part.name, champion.part(part.kind, part.name))
            for part in champion.manifest.parts
            if (part.kind, part.name) not in replaced
        ]
        new = write_policy_set(plan.policy_dir, [*parts, *changed])
        ingest.activate(new)
        told["policy_set"] = new
    return told


def _sets(directory: Path, activations: Sequence[str]) -> list[PolicySet]:
    found = []
    for one in dict.fromkeys(activations):
        try:
            found.append(read_policy_set(directory, one))
        except UsherError:
            # A set of long ago may have been cleared away; then its events are not learnt from.
            print(f"usher: policy set {one} is no longer in the store", file=sys.stderr)
    return found


def _registry(policy_set: PolicySet) -> int:
    card = policy_set.parts(policy_pb2.PART_KIND_MODEL_CARD).get("ensemble", b"{}")
    version = orjson.loads(card).get("registry_version")
    return version if isinstance(version, int) else 0


def _call(method: Any, request: Any) -> Any:
    try:
        return method(request, timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


@contextmanager
def _connected(target: str, tls: TlsSettings | None, server_name: str) -> Iterator[grpc.Channel]:
    options = [*message_and_keepalive_options(MAX_MESSAGE_BYTES)]
    if tls is None:
        channel = grpc.insecure_channel(grpc_target(target), options=options)
    else:
        certificate, key, ca = tls.read()
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
        options.append(("grpc.ssl_target_name_override", server_name))
        channel = grpc.secure_channel(grpc_target(target), credentials, options=options)
    with channel:
        yield channel


def main() -> int:
    """Returns the exit status: 2 for wrong arguments, a mesh that does not answer, or a set that is refused."""
    parser = argparse.ArgumentParser(prog="services.scoring.retrain", description="Learns from outcomes.")
    parser.add_argument("--ingest", required=True, help="ingest's gRPC address")
    parser.add_argument("--alerts", help="alerts' gRPC address; without it nobody is told of unfair groups")
    parser.add_argument("--tenant", default="dev")
    parser.add_argument("--policy-dir", type=Path, required=True, help="store of policy sets")
    parser.add_argument("--models", type=Path, required=True, help="where challengers are kept")
    parser.add_argument("--new-labels", type=int, default=100, help="mature labels that make training due")
    parser.add_argument("--every-hours", type=float, default=24.0, help="time that makes training due")
    parser.add_argument(
        "--unlabelled-good-after-days",
        type=float,
        default=60.0,
        help="days after which an event that was let through and has no label counts as good (chargebacks: 30 to 90)",
    )
    parser.add_argument(
        "--least-rows", type=int, default=2_000, help="events with a known outcome to train on"
    )
    parser.add_argument("--seed", type=int, default=train.Plan().seed)
    parser.add_argument("--quick", action="store_true", help="smaller models, for trying it out")
    parser.add_argument("--force", action="store_true", help="train although it is not due")
    parser.add_argument("--no-promote", action="store_true", help="train and compare only")
    parser.add_argument(
        "--tls", action="store_true", help="mTLS by USHER_RETRAIN_TLS_CERTIFICATE, _KEY and _CA"
    )
    arguments = parser.parse_args()
    os.nice(10)
    plan = Plan(
        arguments.tenant,
        arguments.policy_dir,
        arguments.models,
        arguments.new_labels,
        arguments.every_hours,
        arguments.unlabelled_good_after_days,
        arguments.least_rows,
        arguments.seed,
        arguments.quick,
        arguments.force,
        not arguments.no_promote,
    )
    try:
        tls = load(TlsSettings, prefix="USHER_RETRAIN_TLS_") if arguments.tls else None
        with _connected(arguments.ingest, tls, "ingest") as ingest:
            if arguments.alerts:
                with _connected(arguments.alerts, tls, "alerts") as alerts:
                    told = run(plan, Ingest(ingest, alerts, plan.tenant))
            else:
                told = run(plan, Ingest(ingest, None, plan.tenant))
    except UsherError as error:
        print(f"usher: {error.message} ({error.reason})", file=sys.stderr)
        return 2
    except (ConfigError, ValueError, OSError) as error:
        print(f"usher: {error}", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
