"""`usher scoring`: the detector on tables of its own, and the life of a model: train, models, promote, rollback.

A model is a folder of four files (graph, card, trees, norms) with a readable card. It goes into force as a part of a
policy set: `promote` copies the set in force with the model's parts instead of the old ones, has scoring load it, and
activates it; calls under way end under the set that they began with. Training runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from cli.console import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE, UnusableError, exit_statuses, leave, say
from cli.control import control_command
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TenantOption

app = typer.Typer(
    name="scoring",
    help="The detector on a table of its own, and the life of a model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of a table.")]
ActorOption = Annotated[
    str, typer.Option("--actor", metavar="NAME", help="Who does it, for the log.", show_default=False)
]
TIMEOUT = 30.0


@app.command("benchmark")
def benchmark_command(
    table: Annotated[Path, typer.Argument(metavar="TABLE.npz", help="Arrays X and y.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Another seed.", show_default=False)
    ] = None,
) -> None:
    """Fit the product's detector on X without labels, and measure it with y.

    Prints {"rows","auc","average_precision","seconds"}. Tables are those of ADBench, or any NumPy archive of X (rows by
    columns, numbers) and y (1 for an anomaly). Needs `pip install usher[train]` and no running mesh.

    \b
    Examples:
      usher scoring benchmark 6_cardio.npz
      for t in tables/*.npz; do usher scoring benchmark "$t"; done | jq -s 'map(.auc) | add / length'
    """
    with exit_statuses():
        more = [] if seed is None else ["--seed", str(seed)]
        leave(_run("benchmark", str(table), *more))


@app.command("train")
def train_command(
    home: HomeOption = Path(DEFAULT_HOME),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where the model goes, instead of the home.", show_default=False
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, show_default=False)] = None,
    users: Annotated[
        int | None, typer.Option("--users", min=50, help="Simulated viewers.", show_default=False)
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", min=5.0, help="Simulated days.", show_default=False)
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option("--events", metavar="FILE", help="Stored events, JSON lines.", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Their labels, JSON lines.", show_default=False),
    ] = None,
) -> None:
    """Train a model, measure it, and write its card with pictures. It does not decide before it is promoted.

    From simulated traffic, or from stored events and labels ({"event_id","abusive","scenario","compliance"} a line).
    The same data and seed give the same model. Takes minutes and a core; progress is on stderr, figures on stdout.

    \b
    Examples:
      usher scoring train
      usher scoring train --events events.jsonl --labels labels.jsonl
    """
    with exit_statuses():
        options = [
            text
            for name, value in (
                ("seed", seed),
                ("users", users),
                ("days", days),
                ("events", events),
                ("labels", labels),
            )
            if value is not None
            for text in (f"--{name}", str(value))
        ]
        if out is not None:
            leave(_run("train", "--out", str(out), *options))
        folder = Home(home).path / "models"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".training-") as made:
            status = _run("train", "--out", f"{made}/model", *options)
            if status == EXIT_OK:
                model = _read(Path(made) / "model")
                place = folder / model.name
                if not place.exists():
                    shutil.move(f"{made}/model", place)
                say(
                    f"{model.name}: {place / 'card.md'}; `usher scoring promote {model.name}` puts it in force"
                )
        leave(status)


@app.command("models")
def models_command(home: HomeOption = Path(DEFAULT_HOME), as_json: JsonOption = False) -> None:
    """List the models of this home and the shipped one, and which is in force.

    \b
    Examples:
      usher scoring models
      usher scoring models --json | jq -r '.[] | select(.in_force) | .model'
    """
    with exit_statuses():
        place = Home(home)
        found = _models(place)
        active = _in_force(place) if place.is_running() else ""
        told: list[dict[str, Any]] = [
            {
                "model": one.name,
                "source": one.card.get("source"),
                "in_force": one.sha256 == active,
                "folder": str(one.folder),
                "figures": _figures(one.card),
            }
            for one in found
        ]
        if as_json:
            print(json.dumps(told))
            return
        print(f"{'model':<16}{'in force':<10}{'violation AP':<14}{'anomaly AUC':<13}source")
        for one in told:
            mark = "yes" if one["in_force"] else "" if active else "?"
            ap, auc = (
                _shown(one["figures"].get(name)) for name in ("violation_average_precision", "anomaly_auc")
            )
            print(f"{one['model']:<16}{mark:<10}{ap:<14}{auc:<13}{one['source']}")
        if not active:
            say("the mesh does not run: what is in force is not known")


@app.command("promote")
def promote_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name of `models`, or a folder.", show_default=False)
    ],
    home: HomeOption = Path(DEFAULT_HOME),
    actor: ActorOption = "",
) -> None:
    """Put a model in force. Scoring loads it first: one that does not fit is refused, and the old one goes on.

    \b
    Examples:
      usher scoring promote m_0f024f3291aa
      usher scoring promote ./my-model --actor alice
    """
    with exit_statuses():
        leave(promote(Home(home), model, actor))


@app.command("rollback")
def rollback_command(home: HomeOption = Path(DEFAULT_HOME), actor: ActorOption = "") -> None:
    """Put the policy set in force that was so before the last activation.

    \b
    Example:
      usher scoring rollback
    """
    with exit_statuses():
        leave(rollback(Home(home), actor))


@app.command("retrain")
def retrain_command(
    home: HomeOption = Path(DEFAULT_HOME),
    tenant: TenantOption = "dev",
    good_after: Annotated[
        float,
        typer.Option(
            "--unlabelled-good-after-days",
            min=0.0,
            help="When an event that was let through and has no label counts as good: chargebacks take 30 to 90 days.",
        ),
    ] = 60.0,
    least_rows: Annotated[
        int, typer.Option("--least-rows", min=100, help="Events with a known outcome to train on.")
    ] = 2_000,
    force: Annotated[bool, typer.Option("--force", help="Train although it is not due.")] = False,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Put a challenger in force that is better.")
    ] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller models, for trying it out.")] = False,
) -> None:
    """Learn from outcomes: report rates, move thresholds within bounds, train a challenger where it is due.

    Training is due daily or after 100 new mature labels. A challenger goes into force only where it is better than the
    champion on held-back time with significance; `rollback` takes it back. Prints what came of it as JSON.

    \b
    Examples:
      usher scoring retrain
      usher scoring retrain --force --no-promote
    """
    with exit_statuses():
        place = Home(home)
        options = [
            *("--ingest", place.target("ingest"), "--alerts", place.target("alerts"), "--tenant", tenant),
            *("--policy-dir", str(place.policy), "--models", str(place.path / "models")),
            *("--unlabelled-good-after-days", str(good_after), "--least-rows", str(least_rows)),
        ]
        options += ["--force"] if force else []
        options += ["--quick"] if quick else []
        options += [] if promote else ["--no-promote"]
        leave(_run("retrain", *options))


@app.command("fairness")
def fairness_command(
    home: HomeOption = Path(DEFAULT_HOME), tenant: TenantOption = "dev", as_json: JsonOption = False
) -> None:
    """Show rates of outcomes and false alarms by address class and country, and what was missed.

    As the last `retrain` found them. Intervals are at 95 %; a group alarms where its false alarms over those of all others
    leave 0.8 to 1.25 with significance.

    \b
    Examples:
      usher scoring fairness
      usher scoring fairness --json | jq '.groups[] | select(.alarming)'
    """
    from google.protobuf import json_format

    from cli.mesh import call, connected, told
    from services.common.errors import UsherError
    from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc

    with exit_statuses():
        target = Home(home).target("ingest")
        with connected(target) as channel:
            stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
            request = feedback_pb2.GetFeedbackReportRequest(tenant=tenant)
            try:
                report = call(target, stub.GetFeedbackReport, request, TIMEOUT).report
            except UsherError as error:
                raise UnusableError(told(error)) from None
        if as_json:
            print(json.dumps(json_format.MessageToDict(report, preserving_proto_field_name=True)))
            return
        print(
            f"{report.time.ToJsonString()}: {report.events} events, {report.abusive} known as abuse, "
            f"{report.good} as good"
        )
        print(f"{'':<15}{'group':<12}{'held up':>26}{'false alarms':>28}{'ratio':>8}{'p':>9}")
        for one in report.groups:
            ratio = f"{one.ratio:.2f}" if one.ratio else "-"
            print(
                f"{one.dimension:<15}{one.group:<12}{_rate(one.held_up):>26}{_rate(one.false_alarms):>28}"
                f"{ratio:>8}{one.p_value:>9.2g}{'  ALARM' if one.alarming else ''}"
            )
        if report.HasField("misses"):
            one = report.misses
            print(
                f"missed: about {one.missed:.0f} ({one.low:.0f} to {one.high:.0f}) of {one.allowed} allowed, "
                f"from {one.reviewed.of} looked at"
            )
        else:
            print("missed: not observed; nobody has judged sampled events yet (`usher scoring sample`)")


@app.command("sample")
def sample_command(
    home: HomeOption = Path(DEFAULT_HOME),
    tenant: TenantOption = "dev",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Decisions at most.")] = 50,
) -> None:
    """List decisions that were let through and drawn for a look: judge them with `usher feedback`.

    Who is drawn says allowed_sample in feedback.yaml of the policy set; by default nobody.

    \b
    Examples:
      usher scoring sample
      usher feedback legitimate EVENT_ID
    """
    from cli.mesh import call, connected, told
    from services.common.errors import UsherError
    from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc

    with exit_statuses():
        target = Home(home).target("ingest")
        with connected(target) as channel:
            stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
            request = feedback_pb2.ListReviewSampleRequest(tenant=tenant, page_size=1_000)
            more, shown = True, 0
            while more and shown < limit:
                try:
                    answer = call(target, stub.ListReviewSample, request, TIMEOUT)
                except UsherError as error:
                    raise UnusableError(told(error)) from None
                for one in answer.decisions[: limit - shown]:
                    print(f"{one.event_id}\t{one.decided_time.ToJsonString()}\t{one.risk_score:g}")
                    shown += 1
                request.after_position, more = answer.next_position, answer.more


app.command("control")(control_command)


@app.command("drift")
def drift_command(home: HomeOption = Path(DEFAULT_HOME), as_json: JsonOption = False) -> None:
    """Show how far live features and scores have moved from the training of the model in use (PSI).

    Above 0.1 something moved, above 0.25 much did.

    \b
    Examples:
      usher scoring drift
    """
    from google.protobuf import json_format

    from cli.mesh import call, connected, told
    from services.common.errors import UsherError
    from usher.scoring.v1 import scoring_pb2, scoring_pb2_grpc

    with exit_statuses():
        target = Home(home).target("scoring")
        with connected(target) as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            try:
                answer = call(target, stub.GetDrift, scoring_pb2.GetDriftRequest(), TIMEOUT)
            except UsherError as error:
                raise UnusableError(told(error)) from None
        if as_json:
            print(json.dumps(json_format.MessageToDict(answer, preserving_proto_field_name=True)))
            return
        if not answer.has_snapshot:
            say("the card of the model in use tells nothing of its training's distributions")
            leave(EXIT_INCOMPLETE)
        if not answer.columns:
            say(f"{answer.rows} rows counted: too few to say anything")
            leave(EXIT_INCOMPLETE)
        for one in answer.columns:
            print(f"{one.name:<32}{one.psi:>8.3f}{'  moved' if one.psi > 0.25 else ''}")


def _rate(one: Any) -> str:
    return f"{one.value:.2%} ({one.low:.2%}-{one.high:.2%})" if one.of else "none"


class Model(NamedTuple):
    """A model on disk."""

    name: str
    sha256: str
    folder: Path
    card: dict[str, Any]


def promote(home: Home, wanted: str, actor: str) -> int:
    """Activates the set in force with the wanted model's parts. Raises UnusableError where it cannot be."""
    from services.common.policy import Part, read_policy_set, write_policy_set
    from usher.policy.v1 import policy_pb2

    model = next((one for one in _models(home) if one.name == wanted), None)
    if model is None:
        folder = Path(wanted)
        if not folder.is_dir():
            raise UnusableError(f"no model is called {wanted}; `usher scoring models` lists them")
        model = _read(folder)
    old = read_policy_set(home.policy, _active(home)[0])
    kinds = {
        (policy_pb2.PART_KIND_MODEL, "ensemble"): "ensemble.onnx",
        (policy_pb2.PART_KIND_MODEL_CARD, "ensemble"): "ensemble.json",
        (policy_pb2.PART_KIND_MODEL_CARD, "trees"): "trees.json",
        (policy_pb2.PART_KIND_NORMS, "population"): "norms.json",
    }
    parts = [
        Part(part.kind, part.name, old.part(part.kind, part.name))
        for part in old.manifest.parts
        if (part.kind, part.name) not in kinds
    ]
    parts += [Part(kind, name, (model.folder / file).read_bytes()) for (kind, name), file in kinds.items()]
    wanted_set = write_policy_set(home.policy, parts)
    if wanted_set == old.id:
        say(f"{model.name} is in force already")
        return EXIT_OK
    _activate(home, wanted_set, actor)
    say(f"{model.name} is in force from now on, everywhere within 5 s (policy set {wanted_set})")
    return EXIT_OK


def rollback(home: Home, actor: str) -> int:
    """Activates the set before the one in force, repeated the one before that; EXIT_INCOMPLETE where there is none."""
    activations = _active(home, 1000)
    now, earlier = activations[0], before(activations)
    if earlier is None:
        say("there is nothing to go back to: one policy set alone was ever in force")
        return EXIT_INCOMPLETE
    _activate(home, earlier, actor)
    say(f"policy set {earlier} is in force again, everywhere within 5 s; {now} was before")
    return EXIT_OK


def before(activations: Sequence[str]) -> str | None:
    """The set to go back to, of activations newest first. Going back takes the last step away, as undo does."""
    steps: list[str] = []
    for one in reversed(activations):
        if len(steps) > 1 and one == steps[-2]:
            steps.pop()
        elif not steps or one != steps[-1]:
            steps.append(one)
    return steps[-2] if len(steps) > 1 else None


def _run(module: str, *arguments: str) -> int:
    # What scoring knows it tells itself: the command line imports no service.
    root = Path(__file__).resolve().parent.parent
    search = os.pathsep.join(filter(None, [str(root), str(root / "proto"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", f"services.scoring.{module}", *arguments],
        check=False,
        env={**os.environ, "PYTHONPATH": search},
    )
    return done.returncode if done.returncode in (EXIT_OK, EXIT_INCOMPLETE) else EXIT_UNUSABLE


def _read(folder: Path) -> Model:
    missing = [
        name
        for name in ("ensemble.onnx", "ensemble.json", "trees.json", "norms.json")
        if not (folder / name).is_file()
    ]
    if missing:
        raise UnusableError(f"{folder} is no model: {', '.join(missing)} missing")
    try:
        card = json.loads((folder / "ensemble.json").read_bytes())
        digest = str(card["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableError(f"{folder}/ensemble.json is no model card: {error}") from None
    return Model(f"m_{digest[:12]}", digest, folder, card)


def _models(home: Home) -> list[Model]:
    from services.common.policy import SERVICES_DIRECTORY

    folders = [SERVICES_DIRECTORY / "scoring" / "defaults"]
    folders += sorted(path for path in (home.path / "models").glob("m_*") if path.is_dir())
    return [_read(folder) for folder in folders]


def _figures(card: dict[str, Any]) -> dict[str, Any]:
    metrics = card.get("metrics", {})
    chosen = metrics.get("other_viewers") or metrics.get("later") or {}
    return {name: value for name, value in chosen.items() if name.startswith(("violation_", "anomaly_"))}


def _shown(value: Any) -> str:
    return f"{value[0]:.4f}" if isinstance(value, list) and value else "-"


def _in_force(home: Home) -> str:
    from services.common.policy import read_policy_set
    from usher.policy.v1 import policy_pb2

    active = read_policy_set(home.policy, _active(home)[0])
    return next((p.digest for p in active.manifest.parts if p.kind == policy_pb2.PART_KIND_MODEL), "")


def _active(home: Home, most: int = 1) -> list[str]:
    from cli.mesh import call, connected
    from usher.policy.v1 import policy_pb2, policy_pb2_grpc

    target = home.target("ingest")
    with connected(target) as channel:
        stub = policy_pb2_grpc.PolicyServiceStub(channel)
        answer = call(
            target, stub.ListActivations, policy_pb2.ListActivationsRequest(page_size=most), TIMEOUT
        )
    if not answer.activations:
        raise UnusableError("no policy set is in force")
    return [one.policy_set for one in answer.activations]


def _activate(home: Home, policy_set: str, actor: str) -> None:
    import getpass

    from cli.mesh import call, connected, told
    from services.common.errors import UsherError
    from usher.policy.v1 import policy_pb2, policy_pb2_grpc

    target = home.target("ingest")
    with connected(target) as channel:
        stub = policy_pb2_grpc.PolicyServiceStub(channel)
        request = policy_pb2.ActivatePolicySetRequest(policy_set=policy_set, actor=actor or getpass.getuser())
        try:
            call(target, stub.ActivatePolicySet, request, TIMEOUT)
        except UsherError as error:
            raise UnusableError(told(error)) from None
