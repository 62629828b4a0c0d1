"""`usher compliance`: the law as data. Evaluating cases, showing regulations and estimating impact need no running mesh.

What compliance knows it tells itself: these commands run its own module, since the command line imports no service.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cli.console import EXIT_OK, EXIT_UNUSABLE, UnusableError, exit_statuses, leave, say

if TYPE_CHECKING:
    from rich.table import Table


class _WithRecords(TyperGroup):
    """Adds the commands of cli/records.py when one is asked for: they bring gRPC along, which other help needs not."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._load()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def _load(self) -> None:
        from cli import records

        found = typer.Typer()
        records.register(found)
        self.commands.update(typer.main.get_group(found).commands)


app = typer.Typer(
    cls=_WithRecords,
    name="compliance",
    help="Which laws apply to an event, what they forbid, and what follows.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PacksOption = Annotated[
    Path | None,
    typer.Option(
        "--packs",
        metavar="DIR",
        envvar="USHER_PACKS_DIR",
        help="Folder of own regulation packs, beside the shipped ones.",
        show_default=False,
    ),
]


@app.command("evaluate")
def evaluate_command(
    cases: Annotated[
        str, typer.Argument(metavar="CASES.yaml", help="Worked cases; - is stdin.", show_default=False)
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Compare with what the cases expect; differences give status 1.")
    ] = False,
    packs: PacksOption = None,
) -> None:
    """Evaluate worked cases: a JSON line a case, in order.

    {"id","applicable","violations":[{"regulation","article","reason"}],"gaps","outcome"}, outcome being compliant,
    violation or gap. A case without a time answers {"id","error"}; facts that cannot be read count as unknown. Both
    give exit status 1. Facts that no rule can ask for are told on stderr.

    \b
    Examples:
      usher compliance evaluate cases.yaml
      usher compliance evaluate cases.yaml --check > /dev/null
      usher compliance evaluate cases.yaml | jq -c 'select(.outcome == "violation")'
    """
    with exit_statuses():
        leave(_run(["evaluate", cases, *(["--check"] if check else [])], packs))


@app.command("regulations")
def regulations_command(
    regulation: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="One of them, in detail: its id or short name.", show_default=False
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="DATE", help="Only what is in force then (YYYY-MM-DD).", show_default=False
        ),
    ] = "",
    packs: PacksOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line a regulation on stdout.")] = False,
) -> None:
    """Show the regulations that are checked, or one of them with its rules, deadlines, fines and notes.

    \b
    Examples:
      usher compliance regulations
      usher compliance regulations EU_GDPR
      usher compliance regulations US_OR_OCPA --at 2025-12-31
      usher compliance regulations --json | jq -r '[.id, .digest] | @tsv'
    """
    with exit_statuses():
        found = _regulations(at, packs)
        if regulation is not None:
            wanted = regulation.casefold()
            found = [
                item for item in found if wanted in (item["id"].casefold(), item["short_name"].casefold())
            ]
            if not found:
                when = f" in force on {at}" if at else ""
                raise UnusableError(
                    f"there is no regulation {regulation}{when}: see usher compliance regulations"
                )
        if as_json:
            for item in found:
                print(json.dumps(item, ensure_ascii=False))
        elif regulation is not None:
            for item in found:
                _show(item)
        else:
            _list(found)
        leave(EXIT_OK)


@app.command("check")
def check_command(packs: PacksOption = None) -> None:
    """Check regulation packs: every problem with its file and line.

    A pack is refused where a field is unknown, types do not fit, a rule can never or must always be violated, or two
    rules answer the same condition.

    \b
    Examples:
      usher compliance check --packs ./our-packs
    """
    with exit_statuses():
        leave(_run(["check"], packs))


@app.command("impact")
def impact_command(
    inputs: Annotated[
        str,
        typer.Argument(
            metavar="INPUTS.yaml",
            help="Recorded violations and stated assumptions; - is stdin.",
            show_default=False,
        ),
    ],
    decisions: Annotated[
        str | None,
        typer.Option(
            "--decisions",
            metavar="FILE",
            help="Take the violations of these decisions too: lines of usher decide --json; - is stdin.",
            show_default=False,
        ),
    ] = None,
    packs: PacksOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Estimate exposure to fines and the value of what was prevented, as ranges.

    Only confirmed actions count as prevented, a violation counts once however often it is told, and what is not assumed
    is not estimated. docs/impact.md shows the inputs and the calculation.

    \b
    Examples:
      usher compliance impact inputs.yaml
      usher compliance impact inputs.yaml --json | jq .value.total
      usher decide events.jsonl --json | usher compliance impact inputs.yaml --decisions -
    """
    with exit_statuses():
        arguments = ["impact", inputs, *(["--decisions", decisions] if decisions else [])]
        if as_json:
            leave(_run(arguments, packs))
        [estimated] = _lines(arguments, packs)
        _impact(estimated)
        leave(EXIT_OK)


def require_packs(folder: Path) -> None:
    """Raises UnusableError with every problem, by file and line, unless the packs of a folder can be used."""
    done = _ask(["check"], folder, capture=True)
    if done.returncode != 0:
        raise UnusableError(f"the regulation packs cannot be used:\n{done.stderr.strip()}")


def _ask(arguments: list[str], packs: Path | None, *, capture: bool) -> subprocess.CompletedProcess[str]:
    import services
    import usher

    roots = [str(Path(next(iter(package.__path__))).resolve().parent) for package in (services, usher)]
    path = os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    more = ["--packs", str(packs)] if packs is not None else []
    return subprocess.run(
        [sys.executable, "-P", "-m", "services.compliance.offline", *arguments, *more],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        check=False,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.PIPE if capture else None,
    )


def _run(arguments: list[str], packs: Path | None) -> int:
    """Runs a command whose output is ours; returns its exit status."""
    sys.stdout.flush()
    status = _ask(arguments, packs, capture=False).returncode
    return status if status >= 0 else EXIT_UNUSABLE


def _lines(arguments: list[str], packs: Path | None) -> list[dict[str, Any]]:
    done = _ask(arguments, packs, capture=True)
    if done.returncode != 0:
        raise UnusableError(done.stderr.strip() or f"compliance ended with status {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _regulations(at: str, packs: Path | None) -> list[dict[str, Any]]:
    return _lines(["regulations", *(["--at", at] if at else [])], packs)


def _table(*columns: str, title: str = "") -> Table:
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0 and column == "id")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    # A file or a pipe has no width: what is written there should not be folded at 80 columns.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 180
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def _list(found: list[dict[str, Any]]) -> None:
    table = _table("id", "name", "where", "in force", "rules", "verified", "version")
    for item in found:
        places = [code for code in item["jurisdictions"] if code != "EU"]
        where = (
            f"{len(places)} states"
            if len(places) > 20
            else " ".join(places[:4]) + (" ..." if len(places) > 4 else "")
        )
        rules = item.get("rules", [])
        table.add_row(
            item["id"],
            item["short_name"],
            where,
            _day(item.get("effective_from_time")),
            str(len(rules)),
            str(sum(rule["verification"] == "verified" for rule in rules)),
            f"{item['version']} {item['digest'][:8]}",
        )
    _print(table)
    say(f"{len(found)} regulations; usher compliance regulations ID shows one")


def _show(item: dict[str, Any]) -> None:
    head = _table("", "")
    head.show_header = False
    for name, text in (
        ("id", item["id"]),
        ("name", item["name"]),
        ("version", f"{item['version']}, sha256 {item['digest']}"),
        ("where", " ".join(code for code in item["jurisdictions"] if code != "EU")),
        ("connected by", ", ".join(item.get("connections", []))),
        ("scope", item["scope_article"]),
        ("and", " ".join(item.get("scope_condition", "").split())),
        (
            "in force",
            f"{_day(item.get('effective_from_time'))} {_until(item.get('effective_to_time'))}".strip(),
        ),
    ):
        if text:
            head.add_row(name, text)
    _print(head)
    print()
    rules = _table("article", "rule", "reason", "since", "weight", "verified", title="Rules")
    for rule in item.get("rules", []):
        since = _day(rule.get("effective_from_time")) + _until(rule.get("effective_to_time"))
        rules.add_row(
            rule["article"],
            rule["summary"],
            rule["reason"],
            since,
            str(rule["severity"]),
            ("yes" if rule["verification"] == "verified" else "no")
            + (f", {rule['reviewed_by']}" if rule.get("reviewed_by") else ""),
        )
    _print(rules)
    facts = _table("fact", "value", "where it stands", "verified", title="Facts")
    for path, value, cite, verified in _facts(item["facts"]):
        facts.add_row(path, value, cite, verified)
    print()
    _print(facts)
    if item.get("notes"):
        print("\nNot modelled, and readings chosen:")
        for note in item["notes"]:
            print(f"- {note}")


def _facts(tree: Any, path: str = "") -> list[tuple[str, str, str, str]]:
    """Facts with their provision, flat: path, value, provision, whether verified."""
    if isinstance(tree, list):
        return [row for index, inner in enumerate(tree) for row in _facts(inner, f"{path}[{index}]")]
    if not isinstance(tree, dict):
        return [(path, _words(tree), "", "")] if tree is not None else []
    if "cite" in tree:
        value = tree.get("value", {key: inner for key, inner in tree.items() if key not in _ABOUT})
        verified = "yes" if str(tree.get("verification", "")).startswith("verified") else "no"
        return [(path, _words(value), str(tree["cite"]), verified)]
    return [
        row for key, inner in tree.items() for row in _facts(inner, f"{path}.{key}" if path else str(key))
    ]


_ABOUT = frozenset({"cite", "verification", "source_kind", "note"})


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return " ".join(_words(inner) for inner in value)
    return (
        {True: "yes", False: "no", None: "-"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )


def _day(time: str | None) -> str:
    return time[:10] if time else ""


def _until(time: str | None) -> str:
    return f" until {time[:10]}" if time else ""


def _impact(told: dict[str, Any]) -> None:
    currency = told["currency"]
    counted = told["violations"]
    print(
        f"{counted['distinct']} violations ({counted['told']} told), {counted['confirmed_prevented']} confirmed as "
        f"prevented, in {told['months']} months; amounts in {currency}, from low to high\n"
    )
    table = _table(
        "regulation", "violations", "prevented", "maximum", "remaining exposure", "prevented exposure"
    )
    for item in told["regulations"]:
        most = item["maximum"]
        table.add_row(
            item["regulation"],
            str(item["violations"]),
            str(item["confirmed_prevented"]),
            "-" if most is None else f"{most['amount']:,}" + (" each" if most["per_violation"] else ""),
            _span(item["remaining"]),
            _span(item["prevented"]),
        )
    _print(table)
    print()
    result = _table("", "")
    result.show_header = False
    for name, value in told["value"].items():
        result.add_row(f"value: {name}", _span(value))
    result.add_row("cost: setup, running", f"{told['cost']['setup']:,}, {told['cost']['running']:,}")
    result.add_row("net", _span(told["net"]))
    back = told["return_percent"]
    result.add_row("return", "-" if back is None else f"{back['low']} % to {back['high']} %")
    pays = told["payback_months"]
    result.add_row("payback, months", f"{pays['low_value'] or 'never'} to {pays['high_value'] or 'never'}")
    _print(result)
    for warning in told["warnings"]:
        say(f"usher: {warning}")


def _span(value: dict[str, float] | None) -> str:
    return "not estimated" if value is None else f"{value['low']:,} to {value['high']:,}"
