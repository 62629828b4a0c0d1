"""Trains the ensemble on simulated traffic: `python -m services.scoring.train [--out DIRECTORY]`.

The events run through the same profile and features as in service, in order. The split is by time: fit, then
calibration; what the card measures comes from other viewers, simulated with the next seed. The anomaly models see
no labels: they are fitted twice, the second time without the most unusual share of the first, since training
traffic is not clean. Everything is seeded.

What training cannot see stands in the card under `not_trained`: fraud's travel speed is 0 throughout, since no
look-up of places takes part.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from services.common.event_types import canonical
from services.scoring import export, features, profile
from services.scoring.export import Calibration, Fitted, Scaling
from services.scoring.extract import FAILED_SIGN_IN, Extractor
from services.scoring.model import CARD_FORMAT, OUTPUTS, Ensemble
from simulator.places import HOSTING_NETWORKS, PLACES, VPN_NETWORKS, Network, address_number
from simulator.traffic import generate
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

START_MS = 1_788_220_800_000  # 2026-09-01T00:00:00Z
DEFAULTS = Path(__file__).parent / "defaults"
BATCH = 256
DAY = 86_400
HOUR = 3_600
POINTS = {0.0: 0.0, 0.5: 0.2, 0.75: 0.35, 0.9: 0.5, 0.95: 0.6, 0.99: 0.8, 0.999: 0.95, 1.0: 1.0}
"""Share of the traffic with a lower raw score -> calibrated score."""


class Plan(NamedTuple):
    """What to train on and how large."""

    seed: int = 20_261_122
    users: int = 1_500
    days: float = 17.0
    measure_from_days: float = 4.0
    fit_until_days: float = 14.0
    held_out_users: int = 600
    held_out_days: float = 14.0
    forest_trees: int = 100
    neighbour_points: int = 1_000
    neighbours: int = 20
    boosting_trees: int = 100
    boosting_depth: int = 3
    most_rows: int = 60_000
    contamination: float = 0.01


class Traffic(NamedTuple):
    """Feature rows of simulated events with their time and labels."""

    rows: features.Floats
    day: export.Doubles
    abusive: NDArray[np.bool_]
    violating: NDArray[np.bool_]
    scenario: list[str]
    event_class: profile.Ints


class SignalReplay:
    """Fraud's cross-account signals over simulated traffic, exactly, for training alone."""

    def __init__(self) -> None:
        self._devices: dict[str, dict[str, int]] = {}
        self._addresses: dict[str, dict[str, int]] = {}
        self._failed: dict[str, dict[str, int]] = {}

    def before(self, event: event_pb2.Event) -> list[float]:
        """Signals of what was seen before the event; then remembers it."""
        time, user = event.event_time.seconds, event.user_id
        signals = [0.0] * len(decision_pb2.SignalIndex.values())
        index = decision_pb2.SignalIndex
        signals[index.SIGNAL_INDEX_DEVICE_ACCOUNTS] = self._others(
            self._devices, event.device_id, user, time, 30 * DAY
        )
        own = self._addresses.get(event.ip_address, {}).get(user, -DAY) > time - DAY
        signals[index.SIGNAL_INDEX_ADDRESS_ACCOUNTS] = own + self._others(
            self._addresses, event.ip_address, user, time, DAY
        )
        failed = canonical(event.event_type) in FAILED_SIGN_IN
        before = self._failed.get(event.ip_address, {})
        signals[index.SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS] = sum(
            1 for at in before.values() if at > time - HOUR
        )
        if failed:
            self._failed.setdefault(event.ip_address, {})[user] = time
        return signals

    def _others(self, seen: dict[str, dict[str, int]], key: str, user: str, time: int, window: int) -> float:
        users = seen.setdefault(key, {})
        count = sum(1 for other, at in users.items() if other != user and at > time - window)
        users[user] = time
        return float(count)


class Countries:
    """Country of a simulated address, as (first letter << 8) | second; 0 where the simulator does not say."""

    def __init__(self) -> None:
        # The countries of the VPN and hosting ranges are those that simulator/places.py states in its comments.
        ranges: list[tuple[Network, str]] = [(place.home, place.country) for place in PLACES]
        ranges += zip(VPN_NETWORKS, ("NL", "DE", "DE", "GB", "US", "FR", "SG", "CA"), strict=True)
        ranges += zip(HOSTING_NETWORKS, ("NL", "DE", "FR", "NL", "SG", "RU", "VN", "IN"), strict=True)
        ranges.sort(key=lambda item: item[0].base)
        self._starts = np.array([item[0].base for item in ranges])
        self._ends = [item[0].base + item[0].size for item in ranges]
        self._codes = [ord(item[1][0]) << 8 | ord(item[1][1]) for item in ranges]
        self._known: dict[str, int] = {}

    def of(self, address: str) -> int:
        """The country's code."""
        code = self._known.get(address)
        if code is None:
            number = address_number(address)
            at = int(np.searchsorted(self._starts, number, side="right")) - 1
            code = self._codes[at] if at >= 0 and number < self._ends[at] else 0
            self._known[address] = code
        return code


def simulate(plan: Plan) -> Traffic:
    """Runs simulated traffic through profile and features, in order."""
    stream = generate(plan.seed, plan.users, plan.days, START_MS)
    parts: list[features.Floats] = []
    days: list[float] = []
    abusive: list[bool] = []
    violating: list[bool] = []
    scenario: list[str] = []
    classes: list[profile.Ints] = []
    viewers: dict[str, int] = {}
    words = profile.load([b""] * 1024)
    replay, countries = SignalReplay(), Countries()
    for batch in _batches(stream):
        numbers = [viewers.setdefault(event.user_id, len(viewers)) for event, _ in batch]
        if len(viewers) > len(words):
            words = np.concatenate([words, profile.load([b""] * len(words))])
        places = event_pb2.Places(country=[countries.of(event.ip_address) for event, _ in batch])
        extractor = Extractor(numbers, [], places, {})
        extractor.read([event.SerializeToString() for event, _ in batch], 0, len(batch))
        extracted = extractor.finish()
        if extracted.errors:
            raise RuntimeError(
                f"the simulator made an event that scoring refuses: {extracted.errors[0].reason}"
            )
        observed = profile.fold(words, extracted.profile_of, extracted.columns)
        signals = np.array([replay.before(event) for event, _ in batch], np.float32)
        parts.append(features.compute(observed, extracted.columns, extracted.facts, signals))
        classes.append(extracted.columns.event_class)
        days.extend(((extracted.columns.time - START_MS // 1000) / DAY).tolist())
        for _, label in batch:
            abusive.append(label.abusive)
            violating.append(label.abusive or label.compliance != "")
            scenario.append(label.scenario)
    return Traffic(
        np.concatenate(parts),
        np.array(days),
        np.array(abusive),
        np.array(violating),
        scenario,
        np.concatenate(classes),
    )


def _batches(stream: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(stream, BATCH)):
        yield batch


def fit(plan: Plan, traffic: Traffic) -> Fitted:
    """Fits the three models and calibrates the anomaly scores."""
    rng = np.random.default_rng(plan.seed)
    training = np.nonzero(traffic.day < plan.fit_until_days)[0]
    # Rare kinds of events (a changed password) would drown in heartbeats: classes are drawn by the root of their share.
    share = np.bincount(traffic.event_class[training], minlength=8) / len(training)
    weight = 1.0 / np.sqrt(np.maximum(share, 1e-9))[traffic.event_class[training]]
    chosen = rng.choice(training, min(plan.most_rows, len(training)), replace=False, p=weight / weight.sum())
    rows = traffic.rows[chosen]
    scaling = fit_scaling(rows)
    z = scaling.apply(rows)
    first = IsolationForest(n_estimators=plan.forest_trees, random_state=plan.seed, n_jobs=1).fit(z)
    raw = first.score_samples(z)
    clean = z[raw >= np.quantile(raw, plan.contamination)]
    forest = IsolationForest(n_estimators=plan.forest_trees, random_state=plan.seed + 1, n_jobs=1).fit(clean)

    distinct = np.unique(np.round(clean, 2), axis=0)
    points = distinct[rng.choice(len(distinct), min(plan.neighbour_points, len(distinct)), replace=False)]
    # A little noise, so that no two points are at the same distance and neighbours are the same everywhere.
    points = (points + rng.normal(0.0, 0.01, points.shape)).astype(np.float32).astype(np.float64)
    neighbours = LocalOutlierFactor(n_neighbors=plan.neighbours, novelty=True, n_jobs=1).fit(points)

    boosting = GradientBoostingClassifier(
        n_estimators=plan.boosting_trees, max_depth=plan.boosting_depth, random_state=plan.seed, subsample=0.8
    )
    boosting.fit(
        rows, traffic.violating[chosen], sample_weight=1.0 / weight[np.searchsorted(training, chosen)]
    )

    natural = np.nonzero(traffic.day >= plan.fit_until_days)[0]
    if len(natural) > plan.most_rows:
        natural = rng.choice(natural, plan.most_rows, replace=False)
    z = scaling.apply(traffic.rows[natural])
    return Fitted(
        scaling,
        forest,
        neighbours,
        boosting,
        calibrate(forest_raw(forest, z)),
        calibrate(outlier_raw(neighbours, z)),
    )


def fit_scaling(rows: features.Floats) -> Scaling:
    """Half-way point of each feature (median of what is not zero), then mean and deviation of the bounded values."""
    a = rows[:, : features.ANOMALY_FEATURES]
    half = np.array([np.median(c[c > 0]) if (c > 0).any() else 1.0 for c in a.T], np.float32)
    bounded = a / (a + half)
    mean = bounded.mean(axis=0, dtype=np.float64).astype(np.float32)
    # A feature that hardly ever moves must not shout when it does: no deviation below 0.1.
    deviation = np.maximum(bounded.std(axis=0, dtype=np.float64), 0.1).astype(np.float32)
    return Scaling(half, mean, deviation)


def forest_raw(forest: Any, z: features.Floats) -> export.Doubles:
    """Minus the mean path length: the Isolation Forest's score 2^(-E/c) before the exponential."""
    scale = export.average_path(np.array([forest.max_samples_]))[0]
    return np.log2(-forest.score_samples(z)) * scale


def outlier_raw(neighbours: Any, z: features.Floats) -> export.Doubles:
    """The Local Outlier Factor, 1 for a point as dense as its neighbours; distances in double precision."""
    return -neighbours.score_samples(z.astype(np.float64))


def calibrate(raw: export.Doubles) -> Calibration:
    """A broken line through the quantiles of `POINTS`; quantiles that coincide are kept once, the higher one."""
    x = np.quantile(raw, list(POINTS)).astype(np.float32)
    y = np.array(list(POINTS.values()), np.float32)
    least = max((x[-1] - x[0]) * 1e-3, 1e-4)
    kept = [len(x) - 1]
    for i in range(len(x) - 2, -1, -1):
        if x[kept[-1]] - x[i] >= least:
            kept.append(i)
    kept.reverse()
    if len(kept) < 2:
        raise RuntimeError("the raw scores hardly differ: there is nothing to calibrate")
    return Calibration(x[kept], np.concatenate([[np.float32(0.0)], y[kept][1:]]))


def reference(fitted: Fitted, rows: features.Floats) -> export.Doubles:
    """What the graph must answer, by scikit-learn: one row of model.OUTPUTS an event."""
    z = fitted.scaling.apply(rows)
    forest = fitted.forest_calibration.apply(forest_raw(fitted.forest, z))
    neighbours = fitted.neighbours_calibration.apply(outlier_raw(fitted.neighbours, z))
    likelihood = fitted.boosting.predict_proba(rows)[:, 1]
    return np.column_stack([(forest + neighbours) / 2, forest, neighbours, likelihood])


def measure(plan: Plan, fitted: Fitted, traffic: Traffic, model: Ensemble) -> dict[str, Any]:
    """What the card states, measured on traffic of viewers that training never saw."""
    test = np.nonzero(traffic.day >= plan.measure_from_days)[0]
    rows = traffic.rows[test]
    scores = np.concatenate([model.run(rows[i : i + 4096]) for i in range(0, len(rows), 4096)])
    abusive, violating = traffic.abusive[test], traffic.violating[test]
    scenario = np.array(traffic.scenario)[test]
    some = rows[:: max(len(rows) // 10_000, 1)][:10_000]
    difference = np.abs(reference(fitted, some) - model.run(some)).max(axis=0)
    metrics: dict[str, Any] = {
        "rows": len(test),
        "abusive_rows": int(abusive.sum()),
        "anomaly_auc": _rounded(roc_auc_score(abusive, scores[:, 0])),
        "anomaly_average_precision": _rounded(average_precision_score(abusive, scores[:, 0])),
        "violation_auc": _rounded(roc_auc_score(violating, scores[:, 3])),
        "violation_average_precision": _rounded(average_precision_score(violating, scores[:, 3])),
        "violation_brier": _rounded(brier_score_loss(violating, scores[:, 3])),
        "ordinary_share_from_0.7": _rounded((scores[~abusive, 0] >= 0.7).mean()),
        "greatest_difference": {n: float(f"{d:.2g}") for n, d in zip(OUTPUTS, difference, strict=True)},
        "difference_rows": len(some),
        "by_scenario": {},
    }
    for name in sorted(set(scenario[abusive])):
        one = abusive & (scenario == name)
        against = one | (scenario == "")
        metrics["by_scenario"][str(name)] = {
            "rows": int(one.sum()),
            "anomaly_auc": _rounded(roc_auc_score(one[against], scores[against, 0])),
            "violation_auc": _rounded(roc_auc_score(one[against], scores[against, 3])),
        }
    return metrics


def _rounded(value: float) -> float:
    return round(float(value), 4)


def norms(plan: Plan, traffic: Traffic) -> dict[str, float]:
    """Numbers that named patterns compare with: three times what 99 of 100 events stay under, with least values."""
    rows = traffic.rows[traffic.day < plan.fit_until_days]
    events, exports = (rows[:, features.INDEX[name]] for name in ("events_1h", "exports_24h"))
    many = max(3.0 * float(np.ceil(np.quantile(exports, 0.99))), 10.0)
    return {
        "events_1h": max(3.0 * float(np.ceil(np.quantile(events, 0.99))), 30.0),
        "exports_24h": many,
        "exports_24h_extreme": 3.0 * many,
    }


def train(plan: Plan, out: Path) -> dict[str, Any]:
    """Trains, exports, measures and writes ensemble.onnx, ensemble.json and norms.json; returns the card."""
    traffic = simulate(plan)
    fitted = fit(plan, traffic)
    model = export.build(fitted)
    card: dict[str, Any] = {
        "format": CARD_FORMAT,
        "sha256": hashlib.sha256(model).hexdigest(),
        "registry_version": features.REGISTRY_VERSION,
        "inputs": list(features.NAMES),
        "anomaly_inputs": features.ANOMALY_FEATURES,
        "outputs": list(OUTPUTS),
        "plan": plan._asdict(),
        "rows": len(traffic.rows),
        "not_trained": ["travel_kmh"],
        "calibration": {
            "meaning": "share of training traffic with a lower raw score -> calibrated score",
            "points": [[share, score] for share, score in POINTS.items()],
        },
        "importance": {
            name: _rounded(value)
            for name, value in zip(features.NAMES, fitted.boosting.feature_importances_, strict=True)
        },
    }
    held_out = simulate(plan._replace(seed=plan.seed + 1, users=plan.held_out_users, days=plan.held_out_days))
    card["metrics"] = measure(plan, fitted, held_out, Ensemble(model, orjson.dumps(card)))
    out.mkdir(parents=True, exist_ok=True)
    (out / "ensemble.onnx").write_bytes(model)
    style = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (out / "ensemble.json").write_bytes(orjson.dumps(card, option=style))
    (out / "norms.json").write_bytes(orjson.dumps({"norms": norms(plan, traffic)}, option=style))
    return card


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="services.scoring.train", description="Trains the default ensemble."
    )
    parser.add_argument(
        "--out", type=Path, default=DEFAULTS, help="where the model, its card and the norms go"
    )
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument("--users", type=int, default=Plan().users)
    parser.add_argument("--days", type=float, default=Plan().days, help="more than 14")
    arguments = parser.parse_args()
    plan = Plan(seed=arguments.seed, users=arguments.users, days=arguments.days)
    if plan.days <= plan.fit_until_days:
        parser.error(f"--days is more than {plan.fit_until_days:g}: the rest is what is calibrated on")
    card = train(plan, arguments.out)
    sys.stdout.buffer.write(
        orjson.dumps(card["metrics"], option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )


if __name__ == "__main__":
    main()
