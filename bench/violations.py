"""`python -m bench.violations`: the violation model on kinds of abuse that it was not trained on, on simulated traffic.

Each kind of abuse is left out in turn, with every event of the viewers it happened to; the model is fitted on the rest
and measured on other seeds and other viewers, among whom all kinds happen. Printed with 95 % intervals (bootstrap over
viewers), beside the best single feature: a kind that one feature solves is too easy to say much.
Takes about six minutes on one core; results also go to bench/results/violations.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from services.scoring import card, features, train

TRAIN_SEED, TEST_SEED = 4_001, 9_001
FALSE_POSITIVES = 0.01
FLOORS = {"average precision": 0.90, "recall": 0.80, "calibration error": 0.03}
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.violations", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=4_000, help="simulated viewers to train on")
    parser.add_argument("--test-users", type=int, default=1_500, help="other simulated viewers")
    parser.add_argument("--days", type=float, default=17.0)
    parser.add_argument("--train-seed", type=int, default=TRAIN_SEED)
    parser.add_argument("--test-seed", type=int, default=TEST_SEED, help="seed of the other viewers")
    arguments = parser.parse_args()
    with card.progress() as bar:
        known = train.simulate(
            arguments.train_seed, arguments.users, arguments.days, bar("simulating viewers")
        )
        other = train.simulate(
            arguments.test_seed, arguments.test_users, arguments.days, bar("simulating other viewers")
        )
        plan = train.Plan()
        norms = train.measure_norms(known)
        known, other = train.renorm(known, norms), train.renorm(other, norms)
        other = other.part(other.seconds >= other.seconds.min() + plan.warm_days * train.DAY)
        kinds = sorted(set(known.scenario[known.abusive].tolist()))
        singles = {kind: single(other, kind) for kind in kinds}
        rounds = []
        for kind in kinds:
            bar(f"leaving {kind} out")(0)
            rounds.append(left_out(plan, known, other, kind, kinds))
    report(rounds, singles)
    out = Path("bench/results")
    out.mkdir(parents=True, exist_ok=True)
    (out / "violations.json").write_text(json.dumps({"rounds": rounds, "single_features": singles}, indent=1))


def left_out(
    plan: train.Plan, known: train.Traffic, other: train.Traffic, kind: str, kinds: list[str]
) -> dict[str, Any]:
    """One round: the figures of a model that never saw `kind`."""
    parts = train.split(plan, known)
    touched = np.isin(known.viewer, np.unique(known.viewer[known.abusive & (known.scenario == kind)]))
    boosting = train.fit_violation(plan, known, parts.fit[~touched[parts.fit]])
    rest = parts.calibrate[~touched[parts.calibrate]]
    sigmoid = train.fit_sigmoid(boosting.decision_function(known.rows[rest]), known.violating[rest])
    odds = boosting.decision_function(other.rows)
    likelihood = 1 / (1 + np.exp(-(sigmoid.slope * odds + sigmoid.shift)))
    innocent = ~other.violating
    bound = float(np.quantile(likelihood[innocent], 1 - FALSE_POSITIVES))
    abuse = other.abusive | innocent
    own = (other.abusive & (other.scenario == kind)) | innocent

    def both(figure: Any, labels: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> list[float]:
        return card.interval(figure, labels[chosen], likelihood[chosen], other.viewer[chosen], 1, 100)

    return {
        "left_out": kind,
        "share": round(float((other.abusive & (other.scenario == kind)).mean()), 4),
        "average_precision": both(average_precision_score, other.violating, np.ones(len(innocent), bool)),
        "average_precision_of_abuse": both(average_precision_score, other.abusive, abuse),
        "average_precision_of_left_out": both(average_precision_score, other.abusive, own),
        "calibration_error": both(card.calibration_error, other.violating, np.ones(len(innocent), bool)),
        "recall": {one: recall(other, likelihood, bound, one) for one in kinds},
    }


def recall(other: train.Traffic, likelihood: NDArray[np.float64], bound: float, kind: str) -> list[float]:
    """Recall of one kind above the bound, with an interval over viewers."""
    one = other.abusive & (other.scenario == kind)
    return card.share_interval(likelihood[one] > bound, other.viewer[one], 1)


def single(other: train.Traffic, kind: str) -> dict[str, Any]:
    """The feature that alone separates a kind best from innocent events, either way round."""
    innocent = ~other.violating
    one = other.abusive & (other.scenario == kind)
    chosen = one | innocent
    best = max(
        (float(average_precision_score(one[chosen], sign * other.rows[chosen, position])), sign, name)
        for position, name in enumerate(features.NAMES)
        if np.ptp(other.rows[chosen, position]) > 0
        for sign in (1.0, -1.0)
    )
    return {"feature": ("-" if best[1] < 0 else "") + best[2], "average_precision": round(best[0], 3)}


def report(rounds: list[dict[str, Any]], singles: dict[str, Any]) -> None:
    """Prints the tables."""
    table = Table(title="Simulated traffic; each kind left out in turn; figure (95 % interval)")
    for column in (
        "left out",
        "AP, all",
        "AP, abuse",
        "AP, the kind itself",
        "calibration error",
        "best single feature",
    ):
        table.add_column(column)
    for one in rounds:
        best = singles[one["left_out"]]
        figures = (
            "average_precision",
            "average_precision_of_abuse",
            "average_precision_of_left_out",
            "calibration_error",
        )
        table.add_row(
            one["left_out"],
            *(shown(one[name]) for name in figures),
            f"{best['feature']} {best['average_precision']}",
        )
    console.print(table)
    kinds = list(singles)
    table = Table(title="Recall at 1 % false positives, by kind; bold where the model was trained on it")
    for column in ("left out", *kinds):
        table.add_column(column)
    for one in rounds:
        cells = [
            shown(one["recall"][kind])
            if kind == one["left_out"]
            else f"[bold]{shown(one['recall'][kind])}[/bold]"
            for kind in kinds
        ]
        table.add_row(one["left_out"], *cells)
    console.print(table)
    mean = float(np.mean([one["average_precision"][0] for one in rounds]))
    abuse = float(np.mean([one["average_precision_of_abuse"][0] for one in rounds]))
    known = {
        kind: float(np.mean([one["recall"][kind][0] for one in rounds if one["left_out"] != kind]))
        for kind in kinds
    }
    errors = [one["calibration_error"][0] for one in rounds]
    console.print(
        f"mean average precision {mean:.3f} (abuse alone {abuse:.3f}), floor {FLOORS['average precision']}"
    )
    console.print(
        f"calibration error: mean {np.mean(errors):.4f}, largest {max(errors):.4f}, at most {FLOORS['calibration error']}"
    )
    for one in rounds:
        error = one["calibration_error"][0]
        if error > FLOORS["calibration error"]:
            console.print(
                f"calibration error without {one['left_out']}, {one['share']:.1%} of all events: {error:.4f}  MISSED"
            )
    for kind, value in known.items():
        console.print(
            f"recall of {kind} where known: {value:.3f}" + ("" if value >= FLOORS["recall"] else "  MISSED")
        )
    for one in rounds:
        itself = one["recall"][one["left_out"]][0]
        if itself < FLOORS["recall"]:
            console.print(f"a kind never seen that is mostly missed: {one['left_out']}, recall {itself:.3f}")


def shown(value: list[float]) -> str:
    return f"{value[0]:.3f} ({value[1]:.3f}-{value[2]:.3f})"


if __name__ == "__main__":
    main()
