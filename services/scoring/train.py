"""Trains the models: `python -m services.scoring.train --out DIRECTORY`; `usher scoring train` runs it.

Events of the simulator, or stored events with their labels, run through the same profile and features as in service,
in order. Splits are by time: the models are fitted on the first part, calibrated on the next, measured on the last;
a simulated model is measured on other viewers, of the next seed, as well. The anomaly models see no labels: they are
fitted twice, the second time without the most unusual share of the first, since training traffic is not clean. The
violation model is fitted on labels, with directions that hold by nature (more failed sign-ins never speak for an event),
so that it carries over to kinds of abuse it has not seen; a sigmoid fitted on the calibration part makes it a
probability. Everything is seeded.

What training cannot see stands in the card under `not_trained`: ring membership and compliance's risk come from other
services.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from services.common.errors import UsherError
from services.common.event_json import parse_event
from services.common.places import Places, open_places
from services.scoring import card as cards
from services.scoring import detector, drift, export, features, profile
from services.scoring.detector import Sizes
from services.scoring.export import Fitted, Sigmoid
from services.scoring.extract import Extractor, traits_of
from services.scoring.model import CARD_FORMAT, OUTPUTS, Ensemble
from services.scoring.norms import LEAST_SHARE, Norms, write_norms
from services.scoring.trees import output, write_trees
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

START_MS = 1_788_220_800_000  # 2026-09-01T00:00:00Z
BATCH = 256
RARE = 0.5
"""A kind of violation weighs as its number of events to this power: rare kinds count, and do not drown the others."""
FEATURE_SHARE = 0.4
"""Share of the features that a split of the violation model chooses among, so that no feature alone carries a kind."""
DAY, HOUR = 86_400, 3_600
EARTH_RADIUS_KM = 6371.0
UP = frozenset(
    {
        *("failures_1h", "failures_24h", "exports_24h", "pages_24h", "data_accesses_24h", "volume_ratio"),
        *("volume_vs_population", "payment_failures_24h", "instruments_today", "takeover_stage", "ip_class"),
        *("chargebacks", "device_accounts", "address_failed_accounts", "payment_accounts", "travel_kmh"),
        *("new_device", "new_country", "new_network", "network_risk", "consent_lacking", "no_consent_share"),
        *("eu_no_consent", "compliance_risk", "events_1m", "rate_ratio", "concurrent_streams"),
    }
)
"""Features that by nature speak against an event the more there is of them."""
DOWN = frozenset({"device_hours", "network_share", "account_age_days"})
"""Features that by nature speak for an event the more there is of them."""


class Plan(NamedTuple):
    """What to train on and how large."""

    seed: int = 20_261_122
    users: int = 4_000
    days: float = 17.0
    warm_days: float = 3.0
    """Days at the beginning that only fill the profiles."""
    fit_share: float = 0.7
    """Share of the time after that on which models are fitted."""
    calibrate_share: float = 0.15
    """Share of the time that calibrates; the rest measures."""
    held_out_users: int = 1_500
    held_out_days: float = 14.0
    sizes: Sizes = Sizes(60, 20, 12, (32,), 300, 0.05)
    boosting_trees: int = 120
    boosting_leaves: int = 15
    most_rows: int = 40_000
    """Rows that the anomaly models are fitted on."""
    most_ordinary: int = 300_000
    """Ordinary rows that the violation model is fitted on."""
    contamination: float = 0.01
    by_events: bool = False
    """Whether shares are of events in order of time instead of time: stored events may have long gaps."""


class Label(NamedTuple):
    """What an event truly is, as far as training needs it."""

    scenario: str = ""
    abusive: bool = False
    compliance: str = ""


class Traffic(NamedTuple):
    """Feature rows of events with their time and labels, in order."""

    rows: features.Floats
    seconds: NDArray[np.int64]
    viewer: NDArray[np.int64]
    abusive: NDArray[np.bool_]
    violating: NDArray[np.bool_]
    scenario: NDArray[np.str_]
    kind: profile.Ints
    volume: profile.Ints

    def part(self, chosen: NDArray[Any]) -> Traffic:
        """The chosen rows."""
        return Traffic(*(column[chosen] for column in self))


class SignalReplay:
    """Fraud's cross-account signals over training traffic: sets by key, what was seen before an event."""

    def __init__(self) -> None:
        self._devices: dict[str, dict[str, int]] = {}
        self._addresses: dict[str, dict[str, int]] = {}
        self._instruments: dict[str, dict[str, int]] = {}
        self._failed: dict[str, dict[str, int]] = {}
        self._sighted: dict[str, tuple[int, int, int, int, int, int]] = {}

    def before(self, event: event_pb2.Event, place: tuple[int, int, int, int, int]) -> list[float]:
        """Signals of what was seen before the event; then remembers it. `place` is a row of Places without flags."""
        time, user = event.event_time.seconds, event.user_id
        signals = [0.0] * features.SIGNALS
        index = decision_pb2.SignalIndex
        known_device = user in self._devices.get(event.device_id, ())
        signals[index.SIGNAL_INDEX_DEVICE_ACCOUNTS] = self._others(
            self._devices, event.device_id, user, time, 30 * DAY
        )
        if event.payment_fingerprint:
            signals[index.SIGNAL_INDEX_PAYMENT_ACCOUNTS] = self._others(
                self._instruments, event.payment_fingerprint, user, time, 30 * DAY
            )
        own = self._addresses.get(event.ip_address, {}).get(user, -DAY) > time - DAY
        signals[index.SIGNAL_INDEX_ADDRESS_ACCOUNTS] = own + self._others(
            self._addresses, event.ip_address, user, time, DAY
        )
        before = self._failed.get(event.ip_address, {})
        signals[index.SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS] = sum(
            1 for at in before.values() if at > time - HOUR
        )
        if traits_of(event.event_type).failed:
            self._failed.setdefault(event.ip_address, {})[user] = time
        signals[index.SIGNAL_INDEX_TRAVEL_KMH] = self._travel(user, known_device, (time, *place))
        return signals

    def _others(self, seen: dict[str, dict[str, int]], key: str, user: str, time: int, window: int) -> float:
        users = seen.setdefault(key, {})
        count = sum(1 for other, at in users.items() if other != user and at > time - window)
        users[user] = time
        return float(count)

    def _travel(self, user: str, known_device: bool, here: tuple[int, int, int, int, int, int]) -> float:
        # As fraud does with its shipped parameters: 50 km beyond both accuracies, in 10 minutes at least, and nothing within
        # a country on a device that the account has used before.
        if not here[4]:
            return 0.0
        there = self._sighted.get(user)
        self._sighted[user] = here
        if (
            there is None
            or there[2:4] == here[2:4]
            or (there[1] == here[1] and (known_device or (there[5] and there[5] == here[5])))
        ):
            return 0.0
        a, b = radians(there[2] / 1e4), radians(here[2] / 1e4)
        half = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians((here[3] - there[3]) / 1e4) / 2) ** 2
        km = 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half))) - there[4] - here[4]
        minutes = max(abs(here[0] - there[0]) / 60, 10.0)
        return km / (minutes / 60) if km >= 50.0 else 0.0


def gather(
    stream: Iterable[tuple[event_pb2.Event, Any]],
    places: Places,
    progress: Callable[[int], None] | None = None,
) -> Traffic:
    """Runs labelled events, in order of time, through profile and features.

    The labels have `scenario`, `abusive` and `compliance`. The norms that two features compare with are measured on the
    way's first pass: `renorm` sets those features anew. `progress` is told the number of events done, now and then.
    Raises ValueError where an event cannot be scored.
    """
    parts: list[features.Floats] = []
    columns_of: list[tuple[profile.Ints, ...]] = []
    labels: list[tuple[bool, bool, str]] = []
    numbers: list[int] = []
    viewers: dict[str, int] = {}
    words = profile.load([b""] * 1024)
    replay = SignalReplay()
    flat = Norms({}, np.ones(profile.KIND_SLOTS), np.zeros(profile.KIND_SLOTS))
    done = 0
    for batch in _batches(iter(stream)):
        viewer = [viewers.setdefault(event.user_id, len(viewers)) for event, _ in batch]
        while len(viewers) > len(words):
            words = np.concatenate([words, profile.load([b""] * len(words))])
        where = places.columns([event.ip_address for event, _ in batch])
        extractor = Extractor(viewer, [], where)
        extractor.read([event.SerializeToString() for event, _ in batch], 0, len(batch))
        extracted = extractor.finish()
        if extracted.errors:
            error = extracted.errors[0]
            raise ValueError(f"event {batch[error.index][0].event_id!r} cannot be scored: {error.message}")
        columns = extracted.columns
        observed = profile.fold(words, extracted.profile_of, columns)
        rows_of_place = zip(
            where.country, where.latitude_e4, where.longitude_e4, where.accuracy_km, where.asn, strict=True
        )
        signals = np.array(
            [replay.before(event, place) for (event, _), place in zip(batch, rows_of_place, strict=True)],
            np.float32,
        )
        parts.append(
            features.compute(
                observed,
                columns,
                extracted.facts,
                signals,
                np.array(where.flags, np.int64),
                np.zeros(len(batch)),
                flat,
            )
        )
        columns_of.append((columns.time, columns.kind, columns.volume))
        numbers.extend(viewer)
        labels.extend((one.abusive, one.abusive or one.compliance != "", one.scenario) for _, one in batch)
        done += len(batch)
        if progress:
            progress(done)
    if not parts:
        raise ValueError("there is no event to train on")
    time, kind, volume = (np.concatenate(column) for column in zip(*columns_of, strict=True))
    abusive, violating, scenario = zip(*labels, strict=True)
    return Traffic(
        np.concatenate(parts),
        time,
        np.array(numbers),
        np.array(abusive),
        np.array(violating),
        np.array(scenario),
        kind,
        volume,
    )


def _batches(stream: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(stream, BATCH)):
        yield batch


def simulate(seed: int, users: int, days: float, progress: Callable[[int], None] | None = None) -> Traffic:
    """Features and labels of simulated traffic."""
    from simulator.traffic import generate

    return gather(generate(seed, users, days, START_MS), open_places(), progress)


def renorm(traffic: Traffic, norms: Norms) -> Traffic:
    """The traffic with the features that compare with the population set under `norms`."""
    rows = traffic.rows.copy()
    usual = norms.kind_volume[traffic.kind]
    moved = np.where(usual > 0, np.maximum(traffic.volume, 0) / np.maximum(usual, 1.0), 0.0)
    for name, values in (
        ("type_rarity_overall", (1.0 / norms.kind_share)[traffic.kind]),
        ("volume_vs_population", moved),
    ):
        one = features.REGISTRY[features.INDEX[name]]
        rows[:, features.INDEX[name]] = np.clip(values.astype(np.float32), one.minimum, one.maximum)
    return traffic._replace(rows=rows)


def measure_norms(traffic: Traffic) -> Norms:
    """The population's norms: shares and volumes by kind, and what the named patterns compare with.

    Those are three times what 99 of 100 events stay under, with least values.
    """
    share = np.bincount(traffic.kind, minlength=profile.KIND_SLOTS) / len(traffic.kind)
    volume = np.zeros(profile.KIND_SLOTS)
    for kind in np.unique(traffic.kind):
        told = traffic.volume[(traffic.kind == kind) & (traffic.volume > 0)]
        if len(told) >= 100:
            volume[kind] = np.quantile(told, 0.99)
    events, exports = (traffic.rows[:, features.INDEX[name]] for name in ("events_1h", "exports_24h"))
    many = max(3.0 * float(np.ceil(np.quantile(exports, 0.99))), 10.0)
    values = {
        "events_1h": max(3.0 * float(np.ceil(np.quantile(events, 0.99))), 30.0),
        "exports_24h": many,
        "exports_24h_extreme": 3.0 * many,
    }
    return Norms(values, np.maximum(share, LEAST_SHARE), volume)


class Split(NamedTuple):
    """Positions of the rows by use, by time."""

    fit: NDArray[np.intp]
    calibrate: NDArray[np.intp]
    measure: NDArray[np.intp]


def split(plan: Plan, traffic: Traffic) -> Split:
    """Splits by time; the warm days are in none. Raises ValueError where a part is empty."""
    start = traffic.seconds.min() + plan.warm_days * DAY
    shares = (plan.fit_share, plan.fit_share + plan.calibrate_share)
    if plan.by_events:
        # The borders are times all the same, so that events of one second are never on both sides.
        first, second = np.quantile(traffic.seconds[traffic.seconds >= start], shares, method="higher")
    else:
        length = traffic.seconds.max() + 1 - start
        first, second = (start + share * length for share in shares)
    found = Split(
        np.nonzero((traffic.seconds >= start) & (traffic.seconds < first))[0],
        np.nonzero((traffic.seconds >= first) & (traffic.seconds < second))[0],
        np.nonzero(traffic.seconds >= second)[0],
    )
    for name, part in found._asdict().items():
        if not len(part):
            raise ValueError(f"the part to {name} is empty: the events span too little time")
    return found


def fit(plan: Plan, traffic: Traffic, parts: Split) -> Fitted:
    """Fits the models on the first part and calibrates them on the second.

    Raises ValueError where a feature is no number, or all labels are equal.
    """
    lost = np.argwhere(~np.isfinite(traffic.rows))
    if len(lost):
        row, column = lost[0].tolist()
        raise ValueError(
            f"{features.NAMES[column]} of row {row} is no number ({len(lost)} of all features are none)"
        )
    found = fit_detector(plan, traffic, parts)
    boosting = fit_violation(plan, traffic, parts.fit)
    odds = boosting.decision_function(traffic.rows[parts.calibrate])
    return Fitted(
        found, export.boosted_trees(boosting), fit_sigmoid(odds, traffic.violating[parts.calibrate])
    )


def fit_detector(plan: Plan, traffic: Traffic, parts: Split) -> detector.Detector:
    """Fits the anomaly models without labels; calibrates them on traffic as it comes."""
    rng = np.random.default_rng(plan.seed)
    # Rare kinds of events (a changed password) would drown in heartbeats: kinds are drawn by the root of their share.
    share = np.bincount(traffic.kind[parts.fit], minlength=profile.KIND_SLOTS) / len(parts.fit)
    weight = 1.0 / np.sqrt(np.maximum(share, 1e-9))[traffic.kind[parts.fit]]
    chosen = rng.choice(
        parts.fit, min(plan.most_rows, len(parts.fit)), replace=False, p=weight / weight.sum()
    )
    rows = traffic.rows[chosen, : features.ANOMALY_FEATURES]
    first = detector.fit(rows, plan.sizes, plan.seed).score(rows)
    clean = rows[first <= np.quantile(first, 1.0 - plan.contamination)]
    found = detector.fit(clean, plan.sizes, plan.seed + 1)
    natural = parts.calibrate
    if len(natural) > plan.most_rows:
        natural = rng.choice(natural, plan.most_rows, replace=False)
    raw = found.raw(traffic.rows[natural, : features.ANOMALY_FEATURES])
    return found._replace(calibrations=tuple(detector.calibrate(column) for column in raw.T))


def fit_violation(plan: Plan, traffic: Traffic, chosen: NDArray[np.intp]) -> Any:
    """Fits the violation model on labelled rows. Raises ValueError where all labels are equal."""
    labels = traffic.violating[chosen]
    if labels.all() or not labels.any():
        raise ValueError("the labels to fit on are all equal: nothing can be learnt from them")
    # Ordinary events are plenty: a part of them, weighed up, says the same.
    ordinary = chosen[~labels]
    fewer = min(len(ordinary), plan.most_ordinary)
    rng = np.random.default_rng(plan.seed)
    ordinary, weigh = np.sort(rng.choice(ordinary, fewer, replace=False)), len(ordinary) / fewer
    violating = chosen[labels]
    weights = np.concatenate([np.full(fewer, weigh), _weights(traffic.scenario[violating])])
    chosen = np.concatenate([ordinary, violating])
    directions = [1 if name in UP else -1 if name in DOWN else 0 for name in features.NAMES]
    return HistGradientBoostingClassifier(
        max_iter=plan.boosting_trees,
        max_leaf_nodes=plan.boosting_leaves,
        learning_rate=0.1,
        min_samples_leaf=20,
        l2_regularization=1.0,
        max_features=FEATURE_SHARE,
        early_stopping=False,
        monotonic_cst=directions,
        random_state=plan.seed,
    ).fit(traffic.rows[chosen], traffic.violating[chosen], sample_weight=weights)


def _weights(scenario: NDArray[np.str_]) -> NDArray[np.float64]:
    # A takeover is a few events, sharing thousands: kinds of violation weigh alike (their number to the power of
    # `RARE`), and all together as many as they are.
    _, number, count = np.unique(scenario, return_inverse=True, return_counts=True)
    each = count ** (RARE - 1.0)
    weights = each[number]
    return weights * (len(scenario) / weights.sum())


def fit_sigmoid(odds: NDArray[np.float64], labels: NDArray[np.bool_]) -> Sigmoid:
    """Platt's sigmoid over log odds; the identity where the labels are all equal."""
    if labels.all() or not labels.any():
        return Sigmoid(1.0, 0.0)
    line = LogisticRegression(C=1e6).fit(odds[:, None], labels)
    return Sigmoid(float(line.coef_[0, 0]), float(line.intercept_[0]))


def reference(fitted: Fitted, rows: features.Floats) -> NDArray[np.float64]:
    """What the graph must answer, by scikit-learn and NumPy: one row of model.OUTPUTS an event."""
    anomaly = rows[:, : features.ANOMALY_FEATURES]
    forest, neighbours, factor = fitted.detector.calibrated(fitted.detector.raw(anomaly)).T
    ensemble = sum(
        weight * score
        for weight, score in zip(detector.WEIGHTS.values(), (forest, neighbours, factor), strict=True)
    )
    odds = np.array([output(fitted.violation, row) for row in rows])
    likelihood = 1.0 / (1.0 + np.exp(-(fitted.sigmoid.slope * odds + fitted.sigmoid.shift)))
    return np.column_stack([ensemble, forest, factor, likelihood, neighbours])


def scores_of(model: Ensemble, rows: features.Floats) -> features.Floats:
    """The graph's scores of any number of rows."""
    return np.concatenate([model.run(rows[i : i + 4096]) for i in range(0, len(rows), 4096)])


def measure(traffic: Traffic, scores: features.Floats, seed: int) -> dict[str, Any]:
    """Figures of the card, with 95 % intervals by bootstrap over viewers."""
    abusive, violating = traffic.abusive, traffic.violating
    ensemble, likelihood = scores[:, 0].astype(np.float64), scores[:, 3].astype(np.float64)

    def both(figure: Callable[[Any, Any], float], labels: Any, of: Any) -> list[float]:
        return cards.interval(figure, labels, of, traffic.viewer, seed)

    metrics: dict[str, Any] = {
        "rows": len(traffic.rows),
        "viewers": len(np.unique(traffic.viewer)),
        "abusive_rows": int(abusive.sum()),
        "violating_rows": int(violating.sum()),
        "anomaly_auc": both(roc_auc_score, abusive, ensemble),
        "anomaly_average_precision": both(average_precision_score, abusive, ensemble),
        "violation_auc": both(roc_auc_score, violating, likelihood),
        "violation_average_precision": both(average_precision_score, violating, likelihood),
        "violation_brier": both(brier_score_loss, violating, likelihood),
        "violation_calibration_error": both(cards.calibration_error, violating, likelihood),
        "ordinary_share_from_0.7": round(float((ensemble[~abusive] >= 0.7).mean()), 4),
        "calibration": cards.reliability(violating, likelihood),
        "by_scenario": {},
    }
    innocent = ~violating
    threshold = np.quantile(likelihood[innocent], 0.99) if innocent.any() else 1.0
    for name in sorted(set(traffic.scenario[violating].tolist())):
        one = violating & (traffic.scenario == name)
        against = one | innocent
        metrics["by_scenario"][name or "unnamed"] = {
            "rows": int(one.sum()),
            "anomaly_auc": round(float(roc_auc_score(one[against], ensemble[against])), 4),
            "violation_auc": round(float(roc_auc_score(one[against], likelihood[against])), 4),
            "viewers": len(np.unique(traffic.viewer[one])),
            "recall_at_1_percent_false_positives": cards.share_interval(
                likelihood[one] > threshold, traffic.viewer[one], seed
            ),
        }
    return metrics


def train(plan: Plan, traffic: Traffic, held_out: Traffic | None, source: str, out: Path) -> dict[str, Any]:
    """Trains on `traffic`, measures, and writes model, card, trees, norms and the readable card; returns the card.

    `held_out` is traffic of other viewers; without it the figures are of the last part of the same.
    """
    parts = split(plan, traffic)
    norms = measure_norms(traffic.part(parts.fit))
    traffic = renorm(traffic, norms)
    fitted = fit(plan, traffic, parts)
    graph = export.build(fitted)
    digest = hashlib.sha256(graph).hexdigest()
    card: dict[str, Any] = {
        "format": CARD_FORMAT,
        "sha256": digest,
        "registry_version": features.REGISTRY_VERSION,
        "inputs": list(features.NAMES),
        "anomaly_inputs": features.ANOMALY_FEATURES,
        "outputs": list(OUTPUTS),
        "weights": dict(detector.WEIGHTS),
        "source": source,
        "plan": {**plan._asdict(), "sizes": plan.sizes._asdict()},
        "rows": {name: len(part) for name, part in parts._asdict().items()},
        "not_trained": ["network_risk", "compliance_risk"],
        "calibration": {
            "meaning": "share of training traffic with a lower raw score -> calibrated score",
            "points": [[share, score] for share, score in detector.POINTS.items()],
            "sigmoid": fitted.sigmoid._asdict(),
        },
    }
    model = Ensemble(graph, orjson.dumps(card))
    later = traffic.part(parts.measure)
    some = later.rows[:: max(len(later.rows) // 10_000, 1)][:10_000]
    difference = np.abs(reference(fitted, some) - scores_of(model, some)).max(axis=0)
    card["greatest_difference"] = {n: float(f"{d:.2g}") for n, d in zip(OUTPUTS, difference, strict=True)}
    card["difference_rows"] = len(some)
    fitted_rows = traffic.rows[parts.fit]
    fitted_rows = fitted_rows[:: max(len(fitted_rows) // 50_000, 1)]
    card["snapshot"] = drift.snapshot(fitted_rows, scores_of(model, fitted_rows))
    card["importance"] = cards.importance(fitted.violation, later.rows, plan.seed)
    card["metrics"] = {"later": measure(later, scores_of(model, later.rows), plan.seed)}
    if held_out is not None:
        held_out = renorm(held_out, norms)
        held_out = held_out.part(held_out.seconds >= held_out.seconds.min() + plan.warm_days * DAY)
        card["metrics"]["other_viewers"] = measure(held_out, scores_of(model, held_out.rows), plan.seed)
    normals = np.median(traffic.rows[parts.fit], axis=0).astype(np.float64)
    out.mkdir(parents=True, exist_ok=True)
    (out / "ensemble.onnx").write_bytes(graph)
    style = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (out / "ensemble.json").write_bytes(orjson.dumps(card, option=style))
    (out / "trees.json").write_bytes(write_trees(fitted.violation, digest, normals))
    (out / "norms.json").write_bytes(write_norms(norms))
    cards.write(out, card)
    return card


def stored(events: Path, labels: Path) -> Iterator[tuple[event_pb2.Event, Label]]:
    """Stored events (JSON lines) in order of time with their labels (JSON lines: event_id, abusive, ...).

    An event without a label counts as ordinary. Raises ValueError naming the line that is wrong.
    """
    known: dict[str, Label] = {}
    with labels.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                read = orjson.loads(line)
                known[str(read["event_id"])] = Label(
                    str(read.get("scenario", "")), bool(read["abusive"]), str(read.get("compliance", ""))
                )
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{labels}, line {number}: not a label: {error}") from None
    found = []
    with events.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found.append(parse_event(line))
            except UsherError as error:
                raise ValueError(f"{events}, line {number}: not an event: {error.message}") from None
    found.sort(key=lambda event: (event.event_time.seconds, event.event_time.nanos))
    for event in found:
        yield event, known.get(event.event_id, Label())


def main() -> int:
    """Returns the exit status: 2 for wrong arguments or data."""
    parser = argparse.ArgumentParser(prog="services.scoring.train", description="Trains the models.")
    parser.add_argument("--out", type=Path, required=True, help="where the model, its card and the norms go")
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument("--users", type=int, default=Plan().users, help="simulated viewers")
    parser.add_argument("--days", type=float, default=Plan().days, help="simulated days")
    parser.add_argument("--events", type=Path, help="stored events, JSON lines, instead of simulated ones")
    parser.add_argument("--labels", type=Path, help="their labels, JSON lines")
    arguments = parser.parse_args()
    if (arguments.events is None) != (arguments.labels is None):
        parser.error("--events and --labels go together")
    plan = Plan(seed=arguments.seed, users=arguments.users, days=arguments.days)
    with cards.progress() as bar:
        try:
            if arguments.events:
                traffic = gather(
                    stored(arguments.events, arguments.labels), open_places(), bar("reading events")
                )
                held_out, source = None, f"stored events ({arguments.events.name})"
            else:
                traffic = simulate(plan.seed, plan.users, plan.days, bar("simulating viewers"))
                held_out = simulate(
                    plan.seed + 1, plan.held_out_users, plan.held_out_days, bar("simulating other viewers")
                )
                source = "the simulator"
            bar("fitting, calibrating, measuring")(len(traffic.rows))
            card = train(plan, traffic, held_out, source, arguments.out)
        except (ValueError, OSError) as error:
            print(f"usher: {error}", file=sys.stderr)
            return 2
    sys.stdout.buffer.write(orjson.dumps(card["metrics"], option=orjson.OPT_APPEND_NEWLINE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
