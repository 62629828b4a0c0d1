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
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption

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
