"""`usher fraud`: rings of a file or of the mesh, their cards and pictures, and what analysts find of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import UnusableError, exit_statuses, leave
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TenantOption

app = typer.Typer(
    name="fraud",
    help="Rings: of a file of edges, or of the running mesh.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="ADDRESS", help="Fraud's gRPC address instead of the mesh of --home."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
RingArgument = Annotated[str, typer.Argument(metavar="RING_ID", show_default=False)]
NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for whoever looks next.")]


@app.command("rings")
def rings_command(
    edges: Annotated[
        Path | None,
        typer.Argument(metavar="EDGES.csv", help="Without it: the rings of the mesh.", show_default=False),
    ] = None,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="USER", help="The groups a user is in, and why they are no rings."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="NAME", help="A networkx backend for large groups.")
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", metavar="FILE", help="Other parameters than those shipped.")
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    dismissed: Annotated[bool, typer.Option("--dismissed", help="Those that analysts dismissed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rings of a file of edges, or of the running mesh.

    The file has the columns user, kind, value and time: kind is device, payment, ip, email_domain or signup_ip, time is
    RFC 3339. Prints a JSON line a ring: {"ring_id","members","score","evidence"}. Needs no running mesh, but
    `pip install usher[train]`.

    \b
    Examples:
      usher fraud rings edges.csv
      usher fraud rings edges.csv --why user_17
      usher fraud rings --tenant acme
    """
    with exit_statuses():
        from cli import rings

        if edges is not None:
            more = []
            for name, value in (("--why", why), ("--backend", backend), ("--parameters", parameters)):
                more += [] if value is None else [name, str(value)]
            leave(rings.sweep("rings", str(edges), *more))
        leave(rings.listed(_target(home, target), tenant, dismissed, as_json))


@app.command("sweep")
def sweep_command(
    home: HomeOption = Path(DEFAULT_HOME),
    tenant: TenantOption = "dev",
    record: Annotated[
        bool, typer.Option("--record", help="Also writes the rings into the home's database of fraud.")
    ] = False,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", metavar="FILE", help="Another snapshot than the home's.")
    ] = None,
    redis_url_file: Annotated[
        Path | None,
        typer.Option(
            "--redis-url-file", metavar="FILE", help="Reads Redis instead: a file that holds its URL."
        ),
    ] = None,
    record_url_file: Annotated[
        Path | None,
        typer.Option(
            "--record-url-file",
            metavar="FILE",
            help="Records in another database: a file that holds its URL.",
        ),
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", metavar="FILE", help="Other parameters than those shipped.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="NAME", help="A networkx backend for large groups.")
    ] = None,
) -> None:
    """Looks for rings among all accounts of fraud's memory, in a process of its own.

    It reads the last snapshot of the memory, or Redis, in small pieces while the services go on. With --record or
    --record-url-file the rings are written into fraud's database, with the ids and verdicts they have there.
    Prints a JSON line a ring. Needs `pip install usher[train]`.

    \b
    Examples:
      usher fraud sweep --tenant acme
      usher fraud sweep --record
      usher fraud sweep --redis-url-file secrets/redis-url --record-url-file secrets/database-url
      usher fraud sweep | jq -r .ring_id
    """
    with exit_statuses():
        from cli import rings

        if snapshot is not None and redis_url_file is not None:
            raise UnusableError("--snapshot and --redis-url-file: the memory is in one of them, name that")
        if record and record_url_file is not None:
            raise UnusableError("--record and --record-url-file: name one")
        if redis_url_file is not None:
            source = ["redis", str(redis_url_file)]
        else:
            saved = snapshot or Home(home).path / "fraud" / "memory.jsonl"
            if not saved.is_file():
                raise UnusableError(
                    f"{saved} does not exist: a mesh (`usher up --home {home}`) saves its memory there while it runs and"
                    " when it ends; --snapshot names another file"
                )
            source = ["snapshot", str(saved)]
        more = []
        for name, value in (
            ("--backend", backend),
            ("--parameters", parameters),
            ("--record-url-file", record_url_file),
        ):
            more += [] if value is None else [name, str(value)]
        if record:
            database = Home(home).database("fraud")
            if not database.is_file():
                raise UnusableError(f"{database} does not exist: start the mesh once with `usher up`")
            more += ["--record", str(database)]
        leave(rings.sweep(*source, "--tenant", tenant, *more))


@app.command("show")
def show_command(
    ring_id: RingArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Also draws the neighbourhood, as SVG.")
    ] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE.png", help="The same as PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The card of a ring: members, what they share, what speaks for it, and why it might be innocent.

    \b
    Examples:
      usher fraud show ring_0123456789abcdef
      usher fraud show ring_0123456789abcdef --svg ring.svg --png ring.png
    """
    with exit_statuses():
        from cli import rings

        if png is not None and png.suffix != ".png":
            raise UnusableError(f"--png {png}: name a file that ends with .png")
        pictures = [path for path in (svg, png) if path is not None]
        leave(rings.show(_target(home, target), tenant, ring_id, pictures, as_json))


@app.command("confirm")
def confirm_command(
    ring_id: RingArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    note: NoteOption = "",
) -> None:
    """Says that a ring is fraud: its members' payments and exports are stopped from now on.

    \b
    Example:
      usher fraud confirm ring_0123456789abcdef --note "chargebacks on every card"
    """
    _decide(ring_id, "confirmed", home, target, tenant, note)


@app.command("dismiss")
def dismiss_command(
    ring_id: RingArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    note: NoteOption = "",
) -> None:
    """Says that a ring is innocent: it does not come back by itself.

    \b
    Example:
      usher fraud dismiss ring_0123456789abcdef --note "a shared flat"
    """
    _decide(ring_id, "dismissed", home, target, tenant, note)


@app.command("reopen")
def reopen_command(
    ring_id: RingArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    note: NoteOption = "",
) -> None:
    """Takes a verdict back.

    \b
    Example:
      usher fraud reopen ring_0123456789abcdef
    """
    _decide(ring_id, "open", home, target, tenant, note)


@app.command("address")
def address_command(
    address: Annotated[str, typer.Argument(metavar="IP", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
) -> None:
    """What the mesh has seen of an address: its class and its reputation, with reasons and their age.

    `usher geo` tells what network data say of it.

    \b
    Example:
      usher fraud address 203.0.113.10
    """
    with exit_statuses():
        from cli import rings

        leave(rings.describe(_target(home, target), tenant, address))


def _decide(ring_id: str, status: str, home: Path, target: str | None, tenant: str, note: str) -> None:
    with exit_statuses():
        from cli import rings

        leave(rings.decide(_target(home, target), tenant, ring_id, status, note))


def _target(home: Path, target: str | None) -> str:
    return target or Home(home).target("fraud")
