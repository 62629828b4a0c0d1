"""`usher fraud`: rings of a file or of the mesh, their cards and pictures, and what analysts find of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from google.protobuf import json_format

from cli import ring_picture
from cli.console import EXIT_OK, UnusableError, exit_statuses, leave, say
from cli.home import DEFAULT_HOME, HOME_VARIABLE, Home
from cli.mesh import call, connected, printable, told
from cli.mode import user_name
from services.common.errors import InvalidArgument, NotFound
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc

app = typer.Typer(
    name="fraud",
    help="Rings: of a file of edges, or of the running mesh.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
HomeOption = Annotated[
    Path, typer.Option("--home", envvar=HOME_VARIABLE, metavar="DIR", help="Where the mesh keeps its state.")
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="ADDRESS", help="Fraud's gRPC address instead of the mesh of --home."),
]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Streaming brand.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
RingArgument = Annotated[str, typer.Argument(metavar="RING_ID", show_default=False)]
NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for whoever looks next.")]
_TIMEOUT = 30.0
_PAGE = 200
_STATUS = {
    fraud_pb2.RING_STATUS_OPEN: "open",
    fraud_pb2.RING_STATUS_CONFIRMED: "confirmed",
    fraud_pb2.RING_STATUS_DISMISSED: "dismissed",
}


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
        if edges is not None:
            more = []
            for name, value in (("--why", why), ("--backend", backend), ("--parameters", parameters)):
                more += [] if value is None else [name, str(value)]
            leave(_sweep("rings", str(edges), *more))
        status = fraud_pb2.RING_STATUS_DISMISSED if dismissed else fraud_pb2.RING_STATUS_UNSPECIFIED
        leave(_list(_target(home, target), tenant, status, as_json))


@app.command("sweep")
def sweep_command(
    home: HomeOption = Path(DEFAULT_HOME),
    tenant: TenantOption = "dev",
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", metavar="FILE", help="Another snapshot than the home's.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="NAME", help="A networkx backend for large groups.")
    ] = None,
) -> None:
    """Looks for rings among all accounts of the memory's last snapshot, in a process of its own.

    \b
    Examples:
      usher fraud sweep --tenant acme
      usher fraud sweep | jq -r .ring_id
    """
    with exit_statuses():
        path = snapshot or Home(home).path / "fraud" / "memory.jsonl"
        more = [] if backend is None else ["--backend", backend]
        leave(_sweep("snapshot", str(path), "--tenant", tenant, *more))


@app.command("show")
def show_command(
    ring_id: RingArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Also draws the neighbourhood.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The card of a ring: members, what they share, what speaks for it, and why it might be innocent.

    \b
    Examples:
      usher fraud show ring_0123456789abcdef
      usher fraud show ring_0123456789abcdef --svg ring.svg
    """
    with exit_statuses():
        request = fraud_pb2.GetRingRequest(tenant=tenant, ring_id=ring_id)
        answer = _ask(_target(home, target), lambda stub: stub.GetRing, request)
        if svg is not None:
            title = (
                f"{answer.ring.ring_id}: {answer.ring.member_count} accounts, score {answer.ring.score:.2f}"
            )
            svg.write_text(ring_picture.draw(answer.neighbourhood, frozenset(answer.ring.members), title))
            say(f"drawn: {svg}")
        if as_json:
            _print_json(answer)
        else:
            _print_card(answer.ring)
        leave(EXIT_OK)


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
    _decide(ring_id, fraud_pb2.RING_STATUS_CONFIRMED, home, target, tenant, note)


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
    _decide(ring_id, fraud_pb2.RING_STATUS_DISMISSED, home, target, tenant, note)


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
    _decide(ring_id, fraud_pb2.RING_STATUS_OPEN, home, target, tenant, note)


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
        request = fraud_pb2.DescribeAddressRequest(tenant=tenant, ip_address=address)
        _print_json(_ask(_target(home, target), lambda stub: stub.DescribeAddress, request))
        leave(EXIT_OK)


def _decide(ring_id: str, status: int, home: Path, target: str | None, tenant: str, note: str) -> None:
    with exit_statuses():
        request = fraud_pb2.SetRingStatusRequest(
            tenant=tenant,
            ring_id=ring_id,
            status=status,  # type: ignore[arg-type]
            decided_by=user_name(),
            note=note,
        )
        ring = _ask(_target(home, target), lambda stub: stub.SetRingStatus, request).ring
        say(f"{ring.ring_id}: {_STATUS[ring.status]}, {ring.member_count} accounts")
        leave(EXIT_OK)


def _target(home: Path, target: str | None) -> str:
    return target or Home(home).target("fraud")


def _ask(target: str, method: Callable[[Any], Callable[..., Any]], request: Any) -> Any:
    with connected(target) as channel:
        try:
            return call(target, method(fraud_pb2_grpc.FraudServiceStub(channel)), request, _TIMEOUT)
        except (InvalidArgument, NotFound) as error:
            raise UnusableError(told(error)) from None


def _sweep(*arguments: str) -> int:
    """Runs the sweep's own process; its output is ours."""
    root = Path(__file__).resolve().parent.parent
    paths = [str(root), str(root / "proto"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-m", "services.fraud.sweep", *arguments], env=env, check=False
    ).returncode


def _list(target: str, tenant: str, status: int, as_json: bool) -> int:
    token = ""
    while True:
        request = fraud_pb2.ListRingsRequest(
            tenant=tenant,
            page_size=_PAGE,
            page_token=token,
            status=status,  # type: ignore[arg-type]
        )
        answer = _ask(target, lambda stub: stub.ListRings, request)
        for ring in answer.rings:
            if as_json:
                _print_json(ring)
            else:
                innocent = ", ".join(ring.innocent_explanations)
                print(
                    f"{ring.ring_id}  {ring.score:.2f}  {ring.member_count:>4} accounts  "
                    f"{_STATUS.get(ring.status, '?'):<10}{innocent}"
                )
        token = answer.next_page_token
        if not token:
            return EXIT_OK


def _print_json(message: Any) -> None:
    tree = json_format.MessageToDict(message, preserving_proto_field_name=True)
    sys.stdout.buffer.write(orjson.dumps(tree, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def _print_card(ring: fraud_pb2.Ring) -> None:
    print(f"{ring.ring_id}  {_STATUS.get(ring.status, '?')}{', flagged' if ring.flagged else ''}")
    print(f"score {ring.score:.3f}, confidence {ring.confidence:.2f}, {ring.member_count} accounts")
    if ring.note or ring.decided_by:
        print(f"decided by {printable(ring.decided_by)}: {printable(ring.note)}")
    print("members   " + ", ".join(map(printable, ring.members)))
    for shared in ring.shared:
        kind = fraud_pb2.ResourceKind.Name(shared.kind).removeprefix("RESOURCE_KIND_").lower()
        print(f"shares    {kind:<16}{shared.fingerprint}  {shared.accounts} members")
    for finding in ring.findings:
        print(f"{'for' if finding.points > 0 else 'against':<10}{finding.points:+.2f}  {finding.code}")
    print("innocent? " + (", ".join(ring.innocent_explanations) or "nothing speaks for it"))
