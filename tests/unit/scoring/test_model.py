"""The shipped model, its card, and the graph against scikit-learn."""

from __future__ import annotations

import hashlib

import numpy as np
import orjson
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from services.scoring import card, detector, export, features, train
from services.scoring.detector import Sizes
from services.scoring.model import Ensemble, ModelInvalid
from tests.unit.scoring.builders import DEFAULTS

MODEL = (DEFAULTS / "ensemble.onnx").read_bytes()
CARD = (DEFAULTS / "ensemble.json").read_bytes()


def rows(count: int, seed: int = 3) -> features.Floats:
    """Feature rows over the whole of each range, most of them near its lower end."""
    rng = np.random.default_rng(seed)
    span = np.array([feature.maximum for feature in features.REGISTRY])
    drawn = rng.random((count, features.WIDTH)) ** 4 * span
    whole = span <= 16
    drawn[:, whole] = np.round(drawn[:, whole], 2)
    return drawn.astype(np.float32)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble(MODEL, CARD)


def test_the_shipped_model_is_small_and_scores_from_0_to_1(ensemble: Ensemble) -> None:
    assert len(MODEL) < 1 << 20
    scores = ensemble.run(rows(500))
    assert scores.shape == (500, 5)
    assert scores.min() >= 0
    assert scores.max() <= 1
    forest, factor, neighbours = scores[:, 1], scores[:, 2], scores[:, 4]
    np.testing.assert_allclose(scores[:, 0], 0.5 * forest + 0.4 * neighbours + 0.1 * factor, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 255])
def test_a_row_scores_alike_in_batches_of_any_size(ensemble: Ensemble, size: int) -> None:
    drawn = rows(256)
    whole = ensemble.run(drawn)
    pieces = np.concatenate([ensemble.run(drawn[i : i + size]) for i in range(0, 256, size)])
    np.testing.assert_array_equal(pieces.view(np.uint32), whole.view(np.uint32))


def test_legal_facts_move_the_violation_likelihood_only(ensemble: Ensemble) -> None:
    drawn = rows(200)
    turned = drawn.copy()
    most = np.array([feature.maximum for feature in features.REGISTRY], np.float32)
    turned[:, features.ANOMALY_FEATURES :] = (most - drawn)[:, features.ANOMALY_FEATURES :]
    before, after = ensemble.run(drawn), ensemble.run(turned)
    np.testing.assert_array_equal(before[:, [0, 1, 2, 4]], after[:, [0, 1, 2, 4]])
    assert (before[:, 3] != after[:, 3]).any()


def labelled(count: int) -> train.Traffic:
    """Rows of which many failed sign-ins, and a few others, are violations."""
    rng = np.random.default_rng(11)
    drawn = rows(count, seed=5)
    violating = (drawn[:, features.INDEX["failures_1h"]] > 20) | (rng.random(count) < 0.05)
    seconds = np.linspace(0, 17 * 86_400, count).astype(np.int64)
    kind = rng.integers(0, 8, count)
    scenario = np.where(violating, "guessing", "")
    return train.Traffic(
        drawn,
        seconds,
        rng.integers(0, 50, count),
        violating,
        violating,
        scenario,
        kind,
        np.zeros(count, np.int64),
    )


PLAN = train.Plan(
    sizes=Sizes(40, 10, 8, (32,), 200, 0.05), boosting_trees=30, most_rows=2_000, most_ordinary=3_000
)


def test_the_graph_equals_scikit_learn_on_ten_thousand_rows() -> None:
    traffic = labelled(6_000)
    parts = train.split(PLAN, traffic)
    fitted = train.fit(PLAN, traffic, parts)
    graph = export.build(fitted)
    told = orjson.loads(CARD) | {"sha256": hashlib.sha256(graph).hexdigest()}
    asked = rows(10_000, seed=6)
    found = Ensemble(graph, orjson.dumps(told)).run(asked)
    anomaly = asked[:, : features.ANOMALY_FEATURES]
    np.testing.assert_allclose(found, train.reference(fitted, asked), atol=1e-5, rtol=0)
    # And scikit-learn's own words for its parts, not ours.
    by_forest = -(
        np.log2(-fitted.detector.linear_forest.score_samples(fitted.detector.scales.linear(anomaly))) * 40
        + np.log2(-fitted.detector.root_forest.score_samples(fitted.detector.scales.root(anomaly))) * 10
    )
    assert np.corrcoef(-by_forest, train.reference(fitted, asked)[:, 1])[0, 1] > 0.9
    boosting = train.fit_violation(PLAN, traffic, parts.fit)
    odds = boosting.decision_function(asked)
    likelihood = 1 / (1 + np.exp(-(fitted.sigmoid.slope * odds + fitted.sigmoid.shift)))
    np.testing.assert_allclose(found[:, 3], likelihood, atol=1e-5, rtol=0)


def test_the_nearest_neighbours_are_those_of_scikit_learn() -> None:
    drawn = rows(2_000)[:, : features.ANOMALY_FEATURES]
    found = detector.fit(drawn, PLAN.sizes, 3)
    linear, root = found.scales.linear(drawn), found.scales.root(drawn)
    expected = np.zeros(len(drawn))
    for scaled, samples, weights in (
        (linear, found.draws.linear, found.draws.linear_weights),
        (root, found.draws.root, found.draws.root_weights),
    ):
        for sample, weight in zip(samples, weights, strict=True):
            nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(sample.astype(float))
            expected += nearest.kneighbors(scaled.astype(float))[0][:, 0] * weight
    raw = detector.nearest_raw(linear, root, found.draws)
    # A row of a sub-sample is at distance 0 of it, where single precision leaves about 1e-2 of a range.
    np.testing.assert_allclose(raw, expected, rtol=3e-4)


def test_training_splits_by_time_and_never_over_viewers() -> None:
    traffic = labelled(6_000)
    parts = train.split(PLAN, traffic)
    warm = traffic.seconds.min() + 3 * 86_400
    ends = [traffic.seconds[part].max() for part in parts]
    starts = [traffic.seconds[part].min() for part in parts]
    assert starts[0] >= warm
    assert ends[0] < starts[1] <= ends[1] < starts[2]
    with pytest.raises(ValueError, match="too little time"):
        train.split(PLAN, traffic.part(traffic.seconds < 86_400))


def test_labels_that_teach_nothing_are_refused() -> None:
    traffic = labelled(300)
    with pytest.raises(ValueError, match="all equal"):
        train.fit_violation(PLAN, traffic._replace(violating=np.zeros(300, bool)), np.arange(300))


def test_a_feature_that_is_no_number_is_named_and_teaches_nothing() -> None:
    traffic = labelled(200)
    traffic.rows[7, features.INDEX["travel_kmh"]] = np.nan
    with pytest.raises(ValueError, match="travel_kmh of row 7 is no number"):
        train.fit(PLAN, traffic, train.split(PLAN, traffic))


def test_thresholds_round_down_so_that_the_same_floats_go_left() -> None:
    for threshold in (0.1, 1 / 3, -0.1, 1e-9, 12345.678):
        rounded = export.below(threshold)
        assert rounded <= threshold < float(np.nextafter(np.float32(rounded), np.float32(np.inf)))


def broken_card(**changes: object) -> bytes:
    return orjson.dumps(orjson.loads(CARD) | changes)


@pytest.mark.parametrize(
    ("model", "card", "says"),
    [
        (MODEL[:-1], CARD, "SHA-256"),
        (MODEL, b"{", "not JSON"),
        (MODEL, b"[]", "format"),
        (MODEL, broken_card(format=1), "format"),
        (MODEL, broken_card(sha256=None), "SHA-256"),
        (MODEL, broken_card(inputs=["events_1h"]), "inputs"),
        (MODEL, broken_card(registry_version=0), "registry_version"),
        (b"\x08", broken_card(sha256=hashlib.sha256(b"\x08").hexdigest()), "does not load"),
    ],
)
def test_models_that_must_not_decide_are_refused(model: bytes, card: bytes, says: str) -> None:
    with pytest.raises(ModelInvalid, match=says):
        Ensemble(model, card)


def test_the_card_states_what_was_measured() -> None:
    told = orjson.loads(CARD)
    assert max(told["greatest_difference"].values()) <= 1e-5
    assert told["difference_rows"] == 10_000
    metrics = told["metrics"]["other_viewers"]
    assert metrics["rows"] > 100_000
    for name in ("anomaly_auc", "violation_auc", "violation_average_precision"):
        value, low, high = metrics[name]
        assert 0.5 < low <= value <= high < 1
    page = (DEFAULTS / "card.md").read_text()
    assert told["sha256"][:16] in page
    assert "on simulated traffic" in page
    for picture in ("calibration.png", "importance.png"):
        assert picture in page
        assert (DEFAULTS / picture).read_bytes().startswith(b"\x89PNG")


def test_the_calibration_error_is_a_mean_over_bins() -> None:
    # Two bins of 10: told 0.05 and none came true; told 0.95 and 8 of 10 did: (0.05 + 0.15) / 2.
    labels = np.array([False] * 10 + [True] * 8 + [False] * 2)
    scores = np.array([0.05] * 10 + [0.95] * 10)
    assert card.calibration_error(labels, scores) == pytest.approx(0.1)
    assert card.reliability(labels, scores) == [[0.05, 0.0, 10], [0.95, 0.8, 10]]


def test_intervals_hold_the_figure_and_are_over_viewers() -> None:
    rng = np.random.default_rng(3)
    viewer = np.repeat(np.arange(40), 25)
    scores = rng.random(1_000)
    labels = rng.random(1_000) < scores
    value, low, high = card.interval(roc_auc_score, labels, scores, viewer, 1)
    assert low < value < high
    again = card.interval(roc_auc_score, np.tile(labels, 1), scores, viewer, 1)
    assert again == [value, low, high]
    one_viewer = card.interval(roc_auc_score, labels, scores, np.zeros(1_000, int), 1)
    assert one_viewer[1] == one_viewer[2] == one_viewer[0]
