"""The commands of the front door: keys of senders, and what flows in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import exit_statuses, leave
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TargetOption

_HOME = Path(DEFAULT_HOME)

app = typer.Typer()
keys = typer.Typer(
    name="keys",
    help="The API keys of senders: make, list, rotate and revoke them.\n\n"
    "A key is shown once, when it is made. It goes with each call as `x-api-key: usk_...` or "
    "`Authorization: Bearer usk_...`, over HTTP and gRPC alike, and opens one tenant only.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ActorOption = Annotated[
    str,
    typer.Option(
        "--actor", metavar="NAME", help="Who does it, for the audit; else this user.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", show_default=False)]


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it.", show_default=False)],
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="The one tenant that it opens.")
    ] = "dev",
    right: Annotated[
        list[str] | None,
        typer.Option(
            "--right", metavar="NAME", help="submit, decide or read; several are allowed. [default: all]"
        ),
    ] = None,
    rate: Annotated[
        int,
        typer.Option(
            "--rate", metavar="N", min=0, help="Requests a minute; 0: the server's default (10,000)."
        ),
    ] = 0,
    expires_in: Annotated[
        str,
        typer.Option("--expires-in", metavar="SPAN", help="Its lifetime: 90d, 12h, 30m.", show_default=False),
    ] = "",
    actor: ActorOption = "",
    home: HomeOption = _HOME,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. The key alone goes to stdout, what it is to stderr.

    \b
    Examples:
      usher keys create player-backend
      usher keys create reporting --tenant acme --right read --expires-in 90d
      export USHER_API_KEY=$(usher keys create loader --right submit)
    """
    from cli import keys as run

    with exit_statuses():
        leave(
            run.create(
                target or Home(home).target("ingest"),
                tenant,
                name,
                right or [],
                rate,
                expires_in,
                actor,
                as_json,
            )
        )


@keys.command("list")
def list_keys(
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Only its keys. [default: all]")
    ] = "",
    home: HomeOption = _HOME,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List keys, newest first, with their rights and their last use."""
    from cli import keys as run

    with exit_statuses():
        leave(run.list_keys(target or Home(home).target("ingest"), tenant, as_json))


@keys.command("rotate")
def rotate(
    key_id: KeyArgument,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="SPAN", help="How long the old key goes on: 7d, 12h, 0s.")
    ] = "7d",
    actor: ActorOption = "",
    home: HomeOption = _HOME,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the successor of a key; both hold until the overlap is over.

    \b
    Examples:
      usher keys rotate n4ltk2y7q3ab
      usher keys rotate n4ltk2y7q3ab --overlap 0s
    """
    from cli import keys as run

    with exit_statuses():
        leave(run.rotate(target or Home(home).target("ingest"), key_id, overlap, actor, as_json))


@keys.command("revoke")
def revoke(
    key_id: KeyArgument,
    home: HomeOption = _HOME,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key, everywhere within 5 seconds."""
    from cli import keys as run

    with exit_statuses():
        leave(run.revoke(target or Home(home).target("ingest"), key_id, as_json))


@app.command()
def sources(
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Only its sources. [default: all]")
    ] = "",
    home: HomeOption = _HOME,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the sources of events: how far behind each is, and what it waits for.

    \b
    Examples:
      usher sources
      usher sources --tenant acme --json
    """
    from cli import flow

    with exit_statuses():
        leave(flow.sources(target or Home(home).target("ingest"), tenant, as_json))


@app.command()
def subscribers(
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Only its subscribers. [default: all]")
    ] = "",
    home: HomeOption = _HOME,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who is told decisions, and how far behind each is."""
    from cli import flow

    with exit_statuses():
        leave(flow.subscribers(target or Home(home).target("ingest"), tenant, as_json))
