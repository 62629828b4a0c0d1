"""`usher scoring` without a mesh: the benchmark of a table, models on disk, what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli import scoring
from cli.console import UnusableError
from cli.home import Home
from services.common.policy import SERVICES_DIRECTORY

DEFAULTS = SERVICES_DIRECTORY / "scoring" / "defaults"


def usher(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "scoring", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=SERVICES_DIRECTORY.parent,
        timeout=120,
    )


def test_a_table_is_measured_without_its_labels_being_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = np.concatenate([rng.normal(0, 1, (300, 3)), rng.normal(9, 1, (9, 3))])
    labels = np.repeat([0, 1], [300, 9])
    np.savez(tmp_path / "table.npz", X=rows, y=labels)
    done = usher("benchmark", str(tmp_path / "table.npz"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {"rows", "auc", "average_precision", "seconds"}
    assert found["rows"] == 309
    assert found["auc"] > 0.98
    # The labels turned round turn the figure round: they were read after the scores.
    np.savez(tmp_path / "turned.npz", X=rows, y=1 - labels)
    turned = json.loads(usher("benchmark", str(tmp_path / "turned.npz")).stdout)
    assert turned["auc"] == pytest.approx(1 - found["auc"], abs=1e-4)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"X": np.zeros((4, 2))}, "X and y"),
        ({"X": np.zeros(4), "y": np.zeros(4)}, "table of numbers"),
        ({"X": np.zeros((4, 2)), "y": np.zeros(3)}, "one number a row"),
        ({"X": np.zeros((4, 2)), "y": np.array([0, 1, 2, 0])}, "0 and 1"),
    ],
)
def test_what_is_no_table_is_refused_by_name(
    tmp_path: Path, arrays: dict[str, np.ndarray], says: str
) -> None:
    np.savez(tmp_path / "table.npz", **arrays)
    done = usher("benchmark", str(tmp_path / "table.npz"))
    assert done.returncode == 2
    assert says in done.stderr
    assert not done.stdout


def test_models_of_the_home_are_listed_beside_the_shipped_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (shipped,) = scoring._models(home)
    assert shipped.folder == DEFAULTS
    own = tmp_path / "models" / "m_other"
    shutil.copytree(DEFAULTS, own)
    card = json.loads((own / "ensemble.json").read_text()) | {"sha256": "ab" * 32}
    (own / "ensemble.json").write_text(json.dumps(card))
    assert [model.name for model in scoring._models(home)] == [shipped.name, "m_abababababab"]
    done = usher("models", "--home", str(tmp_path), "--json")
    assert [one["in_force"] for one in json.loads(done.stdout)] == [False, False]


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="missing"):
        scoring._read(tmp_path)
    for name in ("ensemble.onnx", "ensemble.json", "trees.json", "norms.json"):
        (tmp_path / name).write_text("[]")
    with pytest.raises(UnusableError, match="no model card"):
        scoring._read(tmp_path)
    with pytest.raises(UnusableError, match="no model is called m_nothing"):
        scoring.promote(Home(tmp_path), "m_nothing", "")


@pytest.mark.parametrize(
    ("activated", "expected"),
    [
        ("A", None),
        ("AB", "A"),
        ("ABC", "B"),
        ("ABCB", "A"),
        ("ABCBA", None),
        ("ABCBD", "B"),
        ("ABAC", "A"),
        ("AA", None),
    ],
)
def test_going_back_walks_back(activated: str, expected: str | None) -> None:
    assert scoring.before([*reversed(activated)]) == expected
