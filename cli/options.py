"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.home import HOME_VARIABLE

HomeOption = Annotated[
    Path, typer.Option("--home", envvar=HOME_VARIABLE, metavar="DIR", help="Where the mesh keeps its state.")
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="ADDRESS",
        help="Ingest's gRPC address, unix:/path or host:port, instead of the mesh of --home.",
        show_default=False,
    ),
]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Streaming brand, [a-z0-9-].")]
