"""The anomaly detector: three views of what is unusual, fitted without labels, as one family of models.

- **Isolation Forest** (F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008): how few random cuts part a
  row from the others. Finds what is extreme, and groups of anomalies.
- **Nearest neighbours in sub-samples** (G. Pang, K. M. Ting, D. Albrecht, "LeSiNN: Detecting Anomalies by Identifying
  Least Similar Nearest Neighbours", ICDM Workshops 2015): the mean distance to the nearest of a few random rows, over
  many small draws. Finds what lies between the groups; small draws hold no second member of a group of anomalies, so
  that such a group does not hide itself as it does from plain k-nearest-neighbours.
- **Local Outlier Factor** (M. Breunig et al., "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000) against a
  sample of distinct rows: thin places between dense ones. Duplicates make densities infinite, hence distinct rows; few
  neighbours make it see noise, hence a tenth of the sample.

Forest and nearest neighbours look at the rows at two scales: linear (between the least and the greatest value) and
fourth root about the median (in robust deviations), since a heavy tail hides at the one what the other shows.

Each score is calibrated by the quantiles of the training rows (`POINTS`), so that a figure means the same for each,
and the ensemble is their mean with the weights `WEIGHTS`: the forest is seldom far off and weighs most; the neighbours
find what it misses; LOF alone is the weakest of the three and only tips the balance.

scikit-learn is needed to fit; no serving process imports this module. `export` writes the same arithmetic as a graph.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

WEIGHTS = {"isolation_forest": 0.5, "nearest_neighbours": 0.4, "local_outlier_factor": 0.1}
"""Share of each calibrated score in the ensemble."""
POINTS = {0.0: 0.0, 0.5: 0.2, 0.75: 0.35, 0.9: 0.5, 0.95: 0.6, 0.99: 0.8, 0.999: 0.95, 1.0: 1.0}
"""Share of the training rows with a lower raw score -> calibrated score."""
MOST_ROWS = 50_000
"""Rows beyond which fewer sub-samples are drawn, so that time grows no further."""
SPREAD_ROWS = 5_000
"""Rows on which the spread of the nearest distances is measured."""
CHUNK_CELLS = 4_000_000
"""Distances computed at once: 16 MB."""
NOISE = 0.01
"""Deviation of what is added to LOF's sample, in robust deviations: no two rows are at the same distance, and
neighbours are the same everywhere."""


class Sizes(NamedTuple):
    """How large the detector is. The defaults are for tables; the model that serves is smaller (see `train.Plan`).

    Attributes:
        linear_trees, root_trees: trees of the forest at each scale.
        draws: sub-samples of each size and scale.
        draw_sizes: rows of a sub-sample.
        reference_rows: LOF's sample, at most.
        neighbours: LOF's k as a share of its sample; at least 20 rows.
    """

    linear_trees: int = 225
    root_trees: int = 75
    draws: int = 50
    draw_sizes: tuple[int, ...] = (8, 16, 32, 64)
    reference_rows: int = 1_000
    neighbours: float = 0.1


class Scales(NamedTuple):
    """The two scales, as float32 arrays of one entry a column; every operation is done in float32, as in the graph.

    Attributes:
        least, width: linear scale: (x - least) / width.
        middle, deviation: root scale: sign(u) ((1 + |u|)^(1/4) - 1) with u = (x - middle) / deviation.
    """

    least: Floats
    width: Floats
    middle: Floats
    deviation: Floats

    def linear(self, rows: Floats) -> Floats:
        """Rows at the linear scale: 0 to 1 on the training rows."""
        return (rows - self.least) / self.width

    def root(self, rows: Floats) -> Floats:
        """Rows at the root scale."""
        u = (rows - self.middle) / self.deviation
        return np.sign(u) * (np.sqrt(np.sqrt(np.abs(u) + np.float32(1.0))) - np.float32(1.0))


class Calibration(NamedTuple):
    """A rising broken line from a raw score to 0..1 through (x, y); level outside."""

    x: Floats
    y: Floats

    def apply(self, raw: Doubles) -> Doubles:
        """The calibrated score."""
        return np.interp(raw, self.x.astype(np.float64), self.y.astype(np.float64))


class Draws(NamedTuple):
    """Sub-samples at the two scales, [rows, columns] each, and the weight of each one's nearest distance."""

    linear: tuple[Floats, ...]
    root: tuple[Floats, ...]
    linear_weights: Floats
    root_weights: Floats


Held = list[NDArray[np.intp]]
"""Which training rows each sub-sample holds."""


class Detector(NamedTuple):
    """A fitted detector.

    Attributes:
        linear_forest, root_forest: scikit-learn's forests at the two scales; each counts by its number of trees.
        draws: the sub-samples.
        factor: scikit-learn's LocalOutlierFactor (novelty) at the root scale.
        calibrations: of the raw scores, in the order of `WEIGHTS`.
    """

    scales: Scales
    linear_forest: Any
    root_forest: Any
    draws: Draws
    factor: Any
    calibrations: tuple[Calibration, ...]

    def raw(self, rows: Floats) -> Doubles:
        """Raw scores of rows that the detector was not fitted on: one column a model, in the order of `WEIGHTS`."""
        linear, root = self.scales.linear(rows), self.scales.root(rows)
        return np.column_stack(
            [
                forest_raw(self.linear_forest, self.root_forest, linear, root),
                nearest_raw(linear, root, self.draws),
                factor_raw(self.factor, root),
            ]
        )

    def calibrated(self, raw: Doubles) -> Doubles:
        """Calibrated scores, one column a model, from raw ones."""
        return np.column_stack([c.apply(raw[:, i]) for i, c in enumerate(self.calibrations)])

    def score(self, rows: Floats) -> Doubles:
        """Ensemble scores 0 to 1, one a row."""
        return self.calibrated(self.raw(rows)) @ np.array(list(WEIGHTS.values()))


def fit(rows: NDArray[Any], sizes: Sizes, seed: int) -> Detector:
    """Fits a detector on rows of numbers; calibrates on the same rows. NaN and infinities count as the median.

    Raises ValueError for a table without rows or columns.
    """
    rows = clean(rows)
    rng = np.random.default_rng(seed)
    detector, _ = _fit(rows, sizes, rng, seed)
    return detector._replace(calibrations=tuple(calibrate(raw) for raw in detector.raw(rows).T))


def fit_score(rows: NDArray[Any], sizes: Sizes, seed: int) -> Doubles:
    """The ensemble of `fit_scores`: one score 0 to 1 a row."""
    return fit_scores(rows, sizes, seed) @ np.array(list(WEIGHTS.values()))


def fit_scores(rows: NDArray[Any], sizes: Sizes, seed: int) -> Doubles:
    """Fits a detector on the rows and scores the same rows: calibrated, one column a model in the order of `WEIGHTS`.

    No row counts as a neighbour of its own: a sub-sample that holds the row is compared without it.
    Raises ValueError for a table without rows or columns.
    """
    rows = clean(rows)
    rng = np.random.default_rng(seed)
    detector, drawn = _fit(rows, sizes, rng, seed)
    linear, root = detector.scales.linear(rows), detector.scales.root(rows)
    factor = factor_raw(detector.factor, root)
    factor[drawn.reference] = -detector.factor.negative_outlier_factor_
    raw = np.column_stack(
        [
            forest_raw(detector.linear_forest, detector.root_forest, linear, root),
            nearest_raw(linear, root, detector.draws, (drawn.linear, drawn.root)),
            factor,
        ]
    )
    fitted = detector._replace(calibrations=tuple(calibrate(column) for column in raw.T))
    return fitted.calibrated(raw)


class _Drawn(NamedTuple):
    # Which rows the sub-samples and LOF's sample hold.
    linear: Held
    root: Held
    reference: NDArray[np.intp]


def _fit(rows: Floats, sizes: Sizes, rng: np.random.Generator, seed: int) -> tuple[Detector, _Drawn]:
    count = len(rows)
    scales = fit_scales(rows)
    linear, root = scales.linear(rows), scales.root(rows)
    draws = max(1, round(sizes.draws * min(1.0, MOST_ROWS / count)))

    def draw() -> Held:
        return [
            rng.choice(count, min(size, count), replace=False)
            for size in sizes.draw_sizes
            for _ in range(draws)
        ]

    drawn_linear, drawn_root = draw(), draw()
    # Distinct rows only, in an order that does not depend on the machine's sort.
    _, distinct = np.unique(np.round(root, 2), axis=0, return_index=True)
    distinct.sort()
    reference = rng.choice(distinct, min(sizes.reference_rows, len(distinct)), replace=False)
    points = root[reference].astype(np.float64)
    points = (points + rng.normal(0.0, NOISE, points.shape)).astype(np.float32).astype(np.float64)
    if len(points) < 3:
        # A table of one or two distinct rows: LOF needs somebody to compare with.
        points = np.concatenate([points, points + 1.0, points - 1.0])
        reference = np.zeros(0, np.intp)
    k = min(max(20, round(len(points) * sizes.neighbours)), len(points) - 1)
    factor = LocalOutlierFactor(n_neighbors=k, novelty=True, n_jobs=1).fit(points)
    if not len(reference):
        factor.negative_outlier_factor_ = np.zeros(0)

    def forest(trees: int, scaled: Floats, number: int) -> Any:
        return IsolationForest(n_estimators=trees, random_state=seed + number, n_jobs=1).fit(scaled)

    # The ranges need no more than a part of a large table.
    some = np.sort(rng.choice(count, min(count, SPREAD_ROWS), replace=False))
    samples, weights = [], []
    for scaled, drawn in ((linear, drawn_linear), (root, drawn_root)):
        samples.append(tuple(scaled[at] for at in drawn))
        distances = _nearest(scaled[some], samples[-1], None)
        weights.append((_draw_weights(distances, sizes, draws) / 2).astype(np.float32))

    detector = Detector(
        scales,
        forest(sizes.linear_trees, linear, 0),
        forest(sizes.root_trees, root, 1),
        Draws(samples[0], samples[1], weights[0], weights[1]),
        factor,
        (),
    )
    return detector, _Drawn(drawn_linear, drawn_root, reference)


def clean(rows: NDArray[Any]) -> Floats:
    """Rows as float32; NaN and infinities become their column's median. Raises ValueError for an empty table."""
    table = np.array(rows, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError("a table has rows and columns of numbers")
    lost = ~np.isfinite(table)
    if lost.any():
        table[lost] = np.nan
        known = ~lost.all(axis=0)
        middle = np.zeros(table.shape[1])
        middle[known] = np.nanmedian(table[:, known], axis=0)
        table = np.where(lost, middle, table)
    greatest = float(np.finfo(np.float32).max) / 4
    return np.clip(table, -greatest, greatest).astype(np.float32)


def fit_scales(rows: Floats) -> Scales:
    """The scales of a table. A column that never moves has the width and deviation 1."""
    table = rows.astype(np.float64)
    least = table.min(axis=0)
    width = table.max(axis=0) - least
    low, middle, high = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
    # 1.349 interquartile ranges are a normal deviation; where half the values are equal the deviation stands in.
    deviation = (high - low) / 1.349
    spread = table.std(axis=0)
    deviation = np.where(deviation > 0, deviation, spread)

    def narrow(values: Doubles) -> Floats:
        found = values.astype(np.float32)
        return np.where(found > 0, found, np.float32(1.0)).astype(np.float32)

    return Scales(least.astype(np.float32), narrow(width), middle.astype(np.float32), narrow(deviation))


def average_path(n: NDArray[np.integer[Any]]) -> Doubles:
    """c(n) of the Isolation Forest paper: mean length of an unsuccessful search in a tree of n points."""
    count = n.astype(np.float64)
    path = np.zeros(len(count))
    path[count == 2] = 1.0
    many = count > 2
    path[many] = 2.0 * (np.log(count[many] - 1.0) + np.euler_gamma) - 2.0 * (count[many] - 1.0) / count[many]
    return path


def forest_raw(linear_forest: Any, root_forest: Any, linear: Floats, root: Floats) -> Doubles:
    """Minus the mean path length over the trees of both scales: the paper's 2^(-E/c) before the exponential."""
    total = len(linear_forest.estimators_) + len(root_forest.estimators_)
    found = np.zeros(len(linear))
    for forest, scaled in ((linear_forest, linear), (root_forest, root)):
        path = np.log2(-forest.score_samples(scaled)) * average_path(np.array([forest.max_samples_]))[0]
        found += path * (len(forest.estimators_) / total)
    return found


def nearest_raw(linear: Floats, root: Floats, draws: Draws, held: tuple[Held, Held] | None = None) -> Doubles:
    """Mean over all sub-samples of the distance to the nearest row, each in interquartile ranges of its kind."""
    found = np.zeros(len(linear))
    for number, (scaled, samples, weights) in enumerate(
        ((linear, draws.linear, draws.linear_weights), (root, draws.root, draws.root_weights))
    ):
        found += _nearest(scaled, samples, held[number] if held else None) @ weights.astype(np.float64)
    return found


def _nearest(scaled: Floats, samples: tuple[Floats, ...], held: Held | None) -> Doubles:
    # Distance of each row to the nearest of each sub-sample, [rows, samples]; float32 as in the graph. With `held`
    # the rows are those of the training, and a sub-sample's own rows are compared with its others.
    found = np.empty((len(scaled), len(samples)))
    squared = np.einsum("ij,ij->i", scaled, scaled)
    for number, sample in enumerate(samples):
        of_sample = np.einsum("ij,ij->i", sample, sample)
        chunk = max(1, CHUNK_CELLS // len(sample))
        own = held[number] if held and len(sample) > 1 else None
        for start in range(0, len(scaled), chunk):
            part = slice(start, start + chunk)
            distances = squared[part, None] + of_sample - 2.0 * (scaled[part] @ sample.T)
            if own is not None:
                inside = (own >= start) & (own < start + len(distances))
                distances[own[inside] - start, np.nonzero(inside)[0]] = np.inf
            found[part, number] = np.sqrt(np.maximum(distances.min(axis=1), 0.0))
    return found


def _draw_weights(distances: Doubles, sizes: Sizes, draws: int) -> Doubles:
    # A sub-sample's weight: one over the interquartile range that its size has at its scale, all kinds alike.
    weights = np.empty(distances.shape[1])
    for number in range(len(sizes.draw_sizes)):
        part = slice(number * draws, (number + 1) * draws)
        mean = distances[:, part].mean(axis=1)
        low, high = np.quantile(mean, [0.25, 0.75])
        spread = high - low if high > low else mean.std()
        weights[part] = 1.0 / spread if spread > 0 else 0.0
    return weights / (draws * len(sizes.draw_sizes))


def factor_raw(factor: Any, root: Floats) -> Doubles:
    """The Local Outlier Factor, 1 for a row as dense as its neighbours; distances in double precision."""
    return np.concatenate(
        [-factor.score_samples(root[i : i + 4096].astype(np.float64)) for i in range(0, len(root), 4096)]
    )


def calibrate(raw: Doubles) -> Calibration:
    """A broken line through the quantiles of `POINTS`; quantiles that coincide are kept once, the higher one.

    Raw scores that do not differ at all are calibrated to 0.
    """
    x = np.quantile(raw, list(POINTS)).astype(np.float32)
    y = np.array(list(POINTS.values()), np.float32)
    least = max(float(x[-1] - x[0]) * 1e-3, 1e-4)
    kept = [len(x) - 1]
    for i in range(len(x) - 2, -1, -1):
        if x[kept[-1]] - x[i] >= least:
            kept.append(i)
    kept.reverse()
    if len(kept) < 2:
        return Calibration(np.array([x[-1], x[-1] + np.float32(1.0)]), np.array([0.0, 1.0], np.float32))
    return Calibration(x[kept], np.concatenate([[np.float32(0.0)], y[kept][1:]]))
