"""The model card: figures with intervals, pictures, and the page that people read.

Source of the form: M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. Pictures need matplotlib
(`pip install usher[train]`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring import features
from services.scoring.trees import Explainer, Trees

RESAMPLES = 200
BINS = 10
EXPLAINED_ROWS = 500


def interval(
    figure: Callable[[Any, Any], float],
    labels: NDArray[np.bool_],
    scores: NDArray[np.float64],
    viewer: NDArray[np.int64],
    seed: int,
    resamples: int = RESAMPLES,
) -> list[float]:
    """[figure, low, high]: a 95 % interval by bootstrap over viewers, since a viewer's events are not independent.

    NaN thrice where the labels are all equal. Large tables are thinned to 60,000 rows for the interval alone.
    """
    if labels.all() or not labels.any():
        return [float("nan")] * 3
    value = float(figure(labels, scores))
    rng = np.random.default_rng(seed)
    order = np.argsort(viewer, kind="stable")
    if len(order) > 60_000:
        order = order[np.sort(rng.choice(len(order), 60_000, replace=False))]
    _, starts = np.unique(viewer[order], return_index=True)
    groups = np.split(order, starts[1:])
    found = []
    for _ in range(resamples):
        rows = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        if labels[rows].any() and not labels[rows].all():
            found.append(float(figure(labels[rows], scores[rows])))
    low, high = np.quantile(found, [0.025, 0.975]) if found else (float("nan"), float("nan"))
    return [round(value, 4), round(float(low), 4), round(float(high), 4)]


def share_interval(hits: NDArray[np.bool_], viewer: NDArray[np.int64], seed: int) -> list[float]:
    """[share of hits, low, high]: a 95 % interval by bootstrap over the viewers whose events these are, one or more."""
    _, number = np.unique(viewer, return_inverse=True)
    count, true = np.bincount(number), np.bincount(number, weights=hits)
    drawn = np.random.default_rng(seed).integers(0, len(count), (RESAMPLES, len(count)))
    low, high = np.quantile(true[drawn].sum(axis=1) / count[drawn].sum(axis=1), [0.025, 0.975])
    return [round(float(np.mean(hits)), 4), round(float(low), 4), round(float(high), 4)]


def reliability(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> list[list[float]]:
    """[mean likelihood, share that came true, rows] of each tenth of the scale that has rows."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    return [
        [round(float(scores[one].mean()), 4), round(float(labels[one].mean()), 4), int(one.sum())]
        for one in (bins == number for number in range(BINS))
        if one.any()
    ]


def calibration_error(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Expected calibration error over ten bins (M. Naeini et al., AAAI 2015): mean |likelihood - share|, by rows."""
    bins = np.minimum((np.asarray(scores) * BINS).astype(int), BINS - 1)
    weight = np.bincount(bins, minlength=BINS)
    told = np.bincount(bins, weights=scores, minlength=BINS)
    true = np.bincount(bins, weights=np.asarray(labels, float), minlength=BINS)
    return float(np.abs(told - true).sum() / max(weight.sum(), 1))


def importance(trees: Trees, rows: features.Floats, seed: int) -> dict[str, float]:
    """Mean absolute Shapley value of each feature over a sample of rows, in log odds, greatest first."""
    rng = np.random.default_rng(seed)
    explainer = Explainer(trees)
    chosen = rng.choice(len(rows), min(EXPLAINED_ROWS, len(rows)), replace=False)
    mean = np.mean([np.abs(explainer.values(rows[i])) for i in chosen], axis=0)
    return {features.NAMES[i]: round(float(mean[i]), 4) for i in np.argsort(-mean, kind="stable")}


@contextmanager
def progress() -> Iterator[Callable[[str], Callable[[int], None]]]:
    """A progress bar on stderr: call with a text for a new stage, then with the number of events done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[events]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bar:
        running: list[Any] = []

        def stage(text: str) -> Callable[[int], None]:
            if running:
                bar.update(running[-1], total=1, completed=1)
            task = bar.add_task(text, total=None, events="")
            running.append(task)
            return lambda done: bar.update(task, events=f"{done:,} events")

        yield stage
        if running:
            bar.update(running[-1], total=1, completed=1)


def write(out: Path, card: dict[str, Any]) -> None:
    """Writes card.md and its pictures into `out`; without matplotlib the page says that there are none."""
    pictures = _pictures(out, card)
    (out / "card.md").write_text("\n".join(_page(card, pictures)) + "\n")


def _pictures(out: Path, card: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    _, metrics = _main(card)
    made = []
    told, true, rows = zip(*metrics["calibration"], strict=True)
    figure, axes = pyplot.subplots(figsize=(4.5, 4.0), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.scatter(told, true, s=[15 + 12 * np.log10(max(n, 1)) for n in rows])
    axes.plot(told, true, linewidth=1)
    axes.set(xlabel="likelihood told", ylabel="share that was a violation", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("Calibration of the violation likelihood")
    made.append(("calibration.png", "Calibration: share that was a violation by likelihood told"))
    figure.savefig(out / "calibration.png", dpi=90, metadata={"Software": None})
    pyplot.close(figure)

    top = list(card["importance"].items())[:15][::-1]
    figure, axes = pyplot.subplots(figsize=(6.0, 4.5), layout="constrained")
    axes.barh([name for name, _ in top], [value for _, value in top])
    axes.set(xlabel="mean |Shapley value|, log odds", title="What the violation model looks at")
    made.append(("importance.png", "Mean absolute Shapley value of the fifteen features that weigh most"))
    figure.savefig(out / "importance.png", dpi=90, metadata={"Software": None})
    pyplot.close(figure)
    return made


def _main(card: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    metrics = card["metrics"]
    if "other_viewers" in metrics:
        return "viewers that training never saw", metrics["other_viewers"]
    return "the last part of the time", metrics["later"]


def _page(card: dict[str, Any], pictures: list[tuple[str, str]]) -> list[str]:
    where, metrics = _main(card)
    plan = card["plan"]
    simulated = card["source"] == "the simulator"
    data = f"{plan['users']:,} simulated viewers over {plan['days']:g} days, seed {plan['seed']}"
    lines = [
        f"# Model card: {card['sha256'][:16]}",
        "",
        "Scores each event for what is unusual (no labels) and for the likelihood of a violation (labels). Its scores"
        " raise points that people set against thresholds; it decides nothing alone.",
        "",
        "## Data",
        "",
        f"- Source: {card['source']}" + (f": {data}." if simulated else "."),
        f"- Rows by time: {card['rows']['fit']:,} to fit, {card['rows']['calibrate']:,} to calibrate,"
        f" {card['rows']['measure']:,} later ones to measure.",
        f"- Measured on {metrics['rows']:,} events of {metrics['viewers']:,} viewers ({where}): "
        f"{metrics['abusive_rows']:,} abusive, {metrics['violating_rows']:,} violating.",
        f"- {len(card['inputs'])} features (registry version {card['registry_version']}); the anomaly models see the"
        f" first {card['anomaly_inputs']}, which hold no consent and no law.",
        "",
        "## Models",
        "",
        "- Anomaly: " + ", ".join(f"{n.replace('_', ' ')} {w:g}" for n, w in card["weights"].items()) + ".",
        f"- Violation: {plan['boosting_trees']} boosted trees, made a probability by a sigmoid on later traffic.",
        f"- The graph differs from the fitted models by {max(card['greatest_difference'].values()):.1g} at most over"
        f" {card['difference_rows']:,} rows.",
        "",
        f"## Figures{' on simulated traffic' if simulated else ''}",
        "",
        "95 % intervals by bootstrap over viewers.",
        "",
        "| figure | value | from | to |",
        "|---|---|---|---|",
    ]
    for name, value in metrics.items():
        if isinstance(value, list) and len(value) == 3 and name != "calibration":
            lines.append(f"| {name.replace('_', ' ')} | {value[0]} | {value[1]} | {value[2]} |")
    lines += [
        "",
        "| kind | rows | viewers | anomaly AUC | violation AUC | recall at 1 % false positives (from, to) |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in metrics["by_scenario"].items():
        recall, low, high = one["recall_at_1_percent_false_positives"]
        lines.append(
            f"| {name} | {one['rows']:,} | {one['viewers']:,} | {one['anomaly_auc']} | {one['violation_auc']} |"
            f" {recall} ({low} to {high}) |"
        )
    lines.append("")
    for file, text in pictures:
        lines += [f"![{text}]({file})", ""]
    if not pictures:
        lines += ["No pictures: matplotlib was not installed where this was made.", ""]
    lines += [
        "## Limits",
        "",
        "- "
        + (
            "Simulated traffic is not yours: train on your own events and labels before you enforce. "
            if simulated
            else ""
        )
        + "A kind of abuse that was never labelled is found by its likeness to others, or by being unusual, or not.",
        f"- Not trained, since other services tell them: {', '.join(card['not_trained'])}.",
        "- A viewer with few events has little to be unusual against: the anomaly score counts in proportion, and such a"
        " profile is COLD.",
        "- Residence, age and consent enter no anomaly score. Consent and law enter the violation likelihood, which raises"
        " no outcome.",
    ]
    return lines
