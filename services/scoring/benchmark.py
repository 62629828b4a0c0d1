"""`usher scoring benchmark TABLE.npz`: the product's detector on a table of its own, measured with the labels.

The table is a NumPy archive of `X` [rows, columns] and `y` [rows], 1 for an anomaly, as ADBench publishes them
(S. Han et al., "ADBench: Anomaly Detection Benchmark", NeurIPS 2022). The labels are read after the scores are made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from services.common.errors import FieldViolation, InvalidArgument
from services.scoring import detector

SEED = 20_261_122
MOST_CELLS = 200_000_000
"""Cells of a table: 1.6 GB as doubles."""


class Result(NamedTuple):
    """What one table gives."""

    rows: int
    auc: float
    """Area under the ROC curve."""
    average_precision: float
    seconds: float
    """Fitting and scoring, without reading the file."""


def benchmark(path: Path, seed: int = SEED) -> Result:
    """Fits the detector on `X` without labels, scores the same rows and measures them with `y`.

    Raises InvalidArgument (TABLE_INVALID) where the file is no such table.
    """
    with _archive(path) as archive:
        rows = _rows(archive)
        started = time.perf_counter()
        scores = detector.fit_score(rows, detector.Sizes(), seed)
        seconds = time.perf_counter() - started
        labels = _labels(archive, len(rows))
    return Result(
        len(rows),
        float(roc_auc_score(labels, scores)),
        float(average_precision_score(labels, scores)),
        seconds,
    )


def _archive(path: Path) -> Any:
    try:
        archive = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise _invalid("path", f"{path} is not there") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError):
        raise _invalid("path", f"{path} is no NumPy archive (.npz) of plain arrays") from None
    if not hasattr(archive, "files") or not {"X", "y"} <= set(archive.files):
        raise _invalid("path", f"{path} does not hold the arrays X and y")
    return archive


def _rows(archive: Any) -> NDArray[Any]:
    try:
        rows = archive["X"]
    except (ValueError, zipfile.BadZipFile) as error:
        raise _invalid("X", f"X cannot be read: {error}") from None
    if rows.ndim != 2 or rows.shape[0] < 2 or not rows.shape[1] or rows.dtype.kind not in "biuf":
        raise _invalid(
            "X", f"X is a table of numbers of 2 rows or more, not {rows.dtype} of shape {rows.shape}"
        )
    if rows.size > MOST_CELLS:
        raise _invalid("X", f"X has {rows.size:,} cells; {MOST_CELLS:,} are the most")
    return np.asarray(rows)


def _labels(archive: Any, count: int) -> NDArray[np.int64]:
    try:
        labels = np.asarray(archive["y"])
    except (ValueError, zipfile.BadZipFile) as error:
        raise _invalid("y", f"y cannot be read: {error}") from None
    if labels.size != count or labels.dtype.kind not in "biuf":
        raise _invalid("y", f"y is one number a row of X ({count}), not {labels.dtype} of {labels.size}")
    labels = labels.reshape(count)
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise _invalid("y", "y holds 0 and 1, and both of them")
    return labels.astype(np.int64)


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(
        "TABLE_INVALID", message, violations=[FieldViolation(field, "TABLE_INVALID", message)]
    )


def main() -> int:
    """Prints one JSON line; returns the exit status, 2 for a table that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="services.scoring.benchmark", description="The detector on a table."
    )
    parser.add_argument("table", type=Path, help="NumPy archive of X and y")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    try:
        found = benchmark(arguments.table, arguments.seed)
    except InvalidArgument as error:
        print(f"usher: {error.message}", file=sys.stderr)
        return 2
    told = {
        "rows": found.rows,
        "auc": round(found.auc, 4),
        "average_precision": round(found.average_precision, 4),
        "seconds": round(found.seconds, 2),
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
