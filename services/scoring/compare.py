"""Whether a challenger is better than the champion: paired bootstrap over viewers. Pure.

Both models score the same held-back events. Viewers are drawn with replacement, since a viewer's events are not independent,
and each draw gives the difference in average precision (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 16). The challenger is better where the difference is above zero in all but 2.5 % of draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

RESAMPLES = 500
LEAST_POSITIVE = 20
"""Violating events below which nothing can be said."""
LEAST_VIEWERS = 5
"""Viewers with violating events below which nothing can be said."""


class Comparison(NamedTuple):
    """The figures of a comparison, on average precision."""

    champion: float
    challenger: float
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    positives: int
    better: bool
    reason: str


def compare(
    labels: NDArray[np.bool_],
    champion: NDArray[np.floating],
    challenger: NDArray[np.floating],
    viewer: NDArray[np.int64],
    seed: int,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares two models' scores of the same events."""
    positives = int(labels.sum())
    viewers = len(np.unique(viewer[labels]))
    if positives < LEAST_POSITIVE or viewers < LEAST_VIEWERS or labels.all():
        nan = float("nan")
        reason = f"{positives} violations of {viewers} viewers on held-back time say too little"
        return Comparison(nan, nan, nan, nan, positives, False, reason)
    old, new = (float(average_precision_score(labels, one)) for one in (champion, challenger))
    order = np.argsort(viewer, kind="stable")
    _, starts = np.unique(viewer[order], return_index=True)
    groups = np.split(order, starts[1:])
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        rows = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        some = labels[rows]
        if some.any():
            found.append(
                average_precision_score(some, challenger[rows])
                - average_precision_score(some, champion[rows])
            )
    low, high = (float(one) for one in np.quantile(found, [0.025, 0.975]))
    better = low > 0.0
    reason = "better with significance" if better else "not better with significance"
    return Comparison(old, new, low, high, positives, better, reason)
