"""`python -m bench.detector TABLES`: the product's detector on labelled anomaly tables, beside a baseline.

TABLES is a folder of NumPy archives (X, y) with `iforest_baseline.json` (name -> auc, ap). Nothing is read from the
labels but the figures. `--stability` asks how much the ensemble's weights owe to the tables: each table is scored with
the weights that are best on all the others.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

from services.scoring import detector

GAIN, LOSS = 0.01, -0.06
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.detector", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to take the mean of")
    parser.add_argument("--stability", action="store_true", help="weights chosen with each table left out")
    arguments = parser.parse_args()
    baseline = json.loads((arguments.tables / "iforest_baseline.json").read_text())
    table = Table(title=f"Detector against an Isolation Forest, mean of {arguments.seeds} seeds")
    for column in ("table", "rows", "AUC", "gain", "AP", "gain"):
        table.add_column(column, justify="right")
    gains, scores = [], {}
    for path in sorted(arguments.tables.glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            rows, labels = archive["X"], archive["y"].astype(int).ravel()
        parts = [detector.fit_scores(rows, detector.Sizes(), 7 + seed) for seed in range(arguments.seeds)]
        weights = np.array(list(detector.WEIGHTS.values()))
        auc = np.mean([roc_auc_score(labels, part @ weights) for part in parts])
        ap = np.mean([average_precision_score(labels, part @ weights) for part in parts])
        base = baseline[path.stem]
        gains.append((auc - base["auc"], ap - base["ap"]))
        scores[path.stem] = (labels, parts[0], base)
        cells = (f"{auc:.4f}", f"{gains[-1][0]:+.4f}", f"{ap:.4f}", f"{gains[-1][1]:+.4f}")
        table.add_row(path.stem, f"{len(rows):,}", *cells)
    console.print(table)
    auc_gain, ap_gain = np.mean(gains, axis=0)
    worst = min(gain for gain, _ in gains)
    rng = np.random.default_rng(1)
    means = [np.mean(rng.choice([gain for gain, _ in gains], len(gains))) for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    console.print(
        f"mean AUC gain {auc_gain:+.4f} (95 % over tables {low:+.4f} to {high:+.4f}), at least {GAIN:+}"
    )
    console.print(f"worst table {worst:+.4f}, no less than {LOSS}; mean AP gain {ap_gain:+.4f}, at least 0")
    if arguments.stability:
        stability(scores)


def stability(scores: dict[str, Any]) -> None:
    """Weights chosen without a table, tried on it."""
    grid = [np.array(w) / 10 for w in product(range(11), repeat=3) if sum(w) == 10]
    gain = {
        name: np.array([roc_auc_score(labels, part @ weights) - base["auc"] for weights in grid])
        for name, (labels, part, base) in scores.items()
    }
    found = []
    for name in gain:
        others = np.mean([values for other, values in gain.items() if other != name], axis=0)
        found.append(gain[name][others.argmax()])
    console.print(
        f"weights chosen on the other tables: mean gain {np.mean(found):+.4f}, worst {np.min(found):+.4f}"
        f" (shipped weights, same seed: {np.mean([g[index_of(grid)] for g in gain.values()]):+.4f})"
    )


def index_of(grid: list[Any]) -> int:
    shipped = np.array(list(detector.WEIGHTS.values()))
    return int(np.argmin([np.abs(weights - shipped).sum() for weights in grid]))


if __name__ == "__main__":
    main()
