"""Drift: how far live features and scores have moved from those that the models were trained on.

The population stability index over the bins of the training snapshot: sum of (live - trained) * ln(live / trained). Rules
of thumb: below 0.1 nothing moved, above 0.25 much did (N. Siddiqi, "Credit Risk Scorecards", Wiley 2006). Memory is
bounded: one counter a bin and column, halved once a window is full, so that the past fades.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring import features
from services.scoring.model import OUTPUTS

BINS = 10
LEAST_ROWS = 2_000
WINDOW = 50_000
"""Rows after which the counters are halved."""
MOVED = 0.25
FORMAT = 1
_FLOOR = 1e-4
"""Least share of a bin, so that an empty one counts and does not decide alone."""
COLUMNS = (*features.NAMES, *(f"score:{name}" for name in OUTPUTS))


class Snapshot(NamedTuple):
    """Bins of each column at training: inner edges, rising, and the share of rows in each bin (one more than edges)."""

    edges: tuple[NDArray[np.float32], ...]
    shares: tuple[NDArray[np.float64], ...]


def snapshot(rows: NDArray[Any], scores: NDArray[Any]) -> dict[str, Any]:
    """The snapshot of training rows and their scores, as the card holds it. Bins are tenths by quantile."""
    columns = np.concatenate([rows, scores], axis=1).astype(np.float32)
    told: dict[str, Any] = {}
    for name, column in zip(COLUMNS, columns.T, strict=True):
        # A value that many rows share is an edge once.
        edges = np.unique(np.quantile(column, np.arange(1, BINS) / BINS).astype(np.float32))
        edges = edges[edges > column.min()]
        count = np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(edges) + 1)
        told[name] = [[float(edge) for edge in edges], [round(float(n) / len(column), 6) for n in count]]
    return {"format": FORMAT, "rows": len(rows), "columns": told}


def read(card: Mapping[str, Any]) -> Snapshot | None:
    """The snapshot of a card; None where it has none that this version reads."""
    told = card.get("snapshot")
    if not isinstance(told, dict) or told.get("format") != FORMAT or set(told["columns"]) != set(COLUMNS):
        return None
    pairs = [told["columns"][name] for name in COLUMNS]
    return Snapshot(
        tuple(np.array(edges, np.float32) for edges, _ in pairs),
        tuple(np.array(shares, np.float64) for _, shares in pairs),
    )


def psi(trained: NDArray[np.float64], live: NDArray[np.float64]) -> float:
    """The population stability index of two distributions over the same bins (shares or counts)."""
    a = np.maximum(trained / trained.sum(), _FLOOR)
    b = np.maximum(live / live.sum(), _FLOOR)
    return float(((b - a) * np.log(b / a)).sum())


class Watch:
    """Counts what passes, for one model."""

    def __init__(self, trained: Snapshot, window: int = WINDOW) -> None:
        self.trained = trained
        self.rows = 0
        """Rows counted since the start."""
        self._window = window
        self._filled = 0
        self._counts = [np.zeros(len(shares)) for shares in trained.shares]

    def add(self, rows: NDArray[Any], scores: NDArray[Any]) -> None:
        """Counts rows and their scores."""
        if self._filled + len(rows) > self._window:
            for count in self._counts:
                count *= 0.5
            self._filled //= 2
        self._filled += len(rows)
        self.rows += len(rows)
        columns = np.concatenate([rows, scores], axis=1).T
        for column, edges, count in zip(columns, self.trained.edges, self._counts, strict=True):
            count += np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(count))

    def indices(self) -> dict[str, float]:
        """PSI by column; empty before `LEAST_ROWS` were counted."""
        if self.rows < LEAST_ROWS:
            return {}
        return {
            name: psi(shares, count)
            for name, shares, count in zip(COLUMNS, self.trained.shares, self._counts, strict=True)
        }
