"""When training is due, and how stored events are split and learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from services.scoring import features, retrain, train


def plan(models: Path, **fields: object) -> retrain.Plan:
    return retrain.Plan("dev", models, models)._replace(**fields)  # type: ignore[arg-type]


def trained(models: Path, labels: int, time: float, tenant: str = "dev") -> None:
    folder = models / f"m_{labels}_{tenant}"
    folder.mkdir()
    told = {"feedback": {"tenant": tenant, "mature_labels": labels, "time": time}}
    (folder / "ensemble.json").write_bytes(orjson.dumps(told))


@pytest.mark.parametrize(
    ("mature", "hours", "due"),
    [(300, 1, True), (299, 1, False), (299, 24, True), (201, 24, True), (200, 500, False)],
)
def test_training_is_due_after_a_day_with_a_label_or_a_hundred_labels(
    tmp_path: Path, mature: int, hours: float, due: bool
) -> None:
    trained(tmp_path, 100, 0.0)
    trained(tmp_path, 200, 1_000_000.0)
    trained(tmp_path, 9_999, 2_000_000.0, tenant="other")
    assert bool(retrain.is_due(plan(tmp_path), mature, 1_000_000.0 + hours * 3600)) is due


def test_the_first_training_waits_for_a_label(tmp_path: Path) -> None:
    assert retrain.is_due(plan(tmp_path), 0, 1_000_000.0) == ""
    assert retrain.is_due(plan(tmp_path), 1, 1_000_000.0)
    assert retrain.is_due(plan(tmp_path, force=True), 0, 1_000_000.0)


def test_a_split_by_events_keeps_time_and_bears_gaps() -> None:
    seconds = np.sort(np.concatenate([np.arange(900), 10_000_000 + np.arange(100)]))
    empty = np.zeros(len(seconds), np.int64)
    traffic = train.Traffic(
        np.zeros((len(seconds), features.WIDTH), np.float32),
        seconds,
        empty,
        empty.astype(bool),
        empty.astype(bool),
        empty.astype(str),
        empty,
        empty,
    )
    with pytest.raises(ValueError, match="empty"):
        train.split(train.Plan(warm_days=0.0), traffic)
    parts = train.split(train.Plan(warm_days=0.0, by_events=True), traffic)
    assert [len(part) for part in parts] == [700, 150, 150]
    assert seconds[parts.fit].max() < seconds[parts.calibrate].min()
    assert seconds[parts.calibrate].max() < seconds[parts.measure].min()
