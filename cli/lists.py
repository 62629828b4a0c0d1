"""`usher lists`: block-lists, allow-lists and limits, kept in ingest and consulted before deciding."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, exit_statuses, leave, say
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TenantOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usher.ingest.v1 import lists_pb2

app = typer.Typer(
    name="lists",
    help="Block-lists, allow-lists and limits: consulted for every event before it is decided.\n\n"
    "\b\n"
    "Examples:\n"
    '  usher lists block user=user_42 --days 30 --reason "chargebacks"\n'
    "  usher lists preview address=203.0.113.0/24\n"
    "  usher lists show",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="ADDRESS", help="Ingest's gRPC address instead of the mesh of --home."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]
ActorOption = Annotated[
    str, typer.Option("--actor", metavar="NAME", help="Who does it; else the name of this user.")
]
ThingArgument = Annotated[
    str,
    typer.Argument(metavar="KIND=VALUE", help="user=, device=, address= or payment=.", show_default=False),
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]
DaysOption = Annotated[float, typer.Option("--days", min=0.0, max=3_650.0, help="How long; 0: for good.")]
ClassOption = Annotated[
    list[str] | None,
    typer.Option("--class", metavar="NAME", help="Class of events; several.", show_default=False),
]
ReferenceOption = Annotated[
    str, typer.Option("--reference", metavar="NUMBER", help="Incident, for the audit.", show_default=False)
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask after the look at who is concerned.")]


def _target(home: Path, target: str | None) -> str:
    return target or Home(home).target("ingest")


@app.command()
def block(
    thing: ThingArgument,
    reason: ReasonOption,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    days: DaysOption = 1.0,
    classes: ClassOption = None,
    reference: ReferenceOption = "",
    actor: ActorOption = "",
    yes: YesOption = False,
) -> None:
    """Block an account, device, address or payment instrument, after a look at the accounts concerned.

    An address is blocked on sign-in and export unless --class says otherwise; leaving and rights never are.

    \b
    Examples:
      usher lists block user=user_42 --days 30 --reason "chargebacks"
      usher lists block address=203.0.113.7 --reason "stuffing" --class login --reference INC-2026-00042
    """
    with exit_statuses():
        leave(
            _set(
                *(_target(home, target), tenant, "block", thing, reason, days, classes or []),
                *(0, reference, actor, yes),
            )
        )


@app.command()
def allow(
    thing: ThingArgument,
    reason: ReasonOption,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    days: DaysOption = 30.0,
    classes: ClassOption = None,
    reference: ReferenceOption = "",
    actor: ActorOption = "",
    yes: YesOption = False,
) -> None:
    """Allow what is scored for an account, device, address or payment instrument. The law still holds.

    \b
    Examples:
      usher lists allow user=user_42 --reason "spoke with the customer"
    """
    with exit_statuses():
        leave(
            _set(
                *(_target(home, target), tenant, "allow", thing, reason, days, classes or []),
                *(0, reference, actor, yes),
            )
        )


@app.command()
def limit(
    thing: ThingArgument,
    reason: ReasonOption,
    per_hour: Annotated[int, typer.Option("--per-hour", min=1, max=10_000, help="Acts of one account.")] = 10,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    days: DaysOption = 1.0,
    classes: ClassOption = None,
    reference: ReferenceOption = "",
    actor: ActorOption = "",
    yes: YesOption = False,
) -> None:
    """Limit what each account may do within an hour, where many people share an address.

    \b
    Examples:
      usher lists limit address=198.51.100.0/24 --per-hour 5 --reason "campus"
    """
    with exit_statuses():
        leave(
            _set(
                *(_target(home, target), tenant, "limit", thing, reason, days, classes or []),
                *(per_hour, reference, actor, yes),
            )
        )


@app.command()
def preview(
    thing: ThingArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    hours: Annotated[int, typer.Option("--hours", min=1, max=720, help="How far back to look.")] = 24,
) -> None:
    """Show the accounts that an entry would concern: those seen with it lately.

    \b
    Examples:
      usher lists preview address=203.0.113.0/24 --hours 72
    """
    from cli.mesh import connected

    with exit_statuses():
        where = _target(home, target)
        with connected(where) as channel:
            _look(where, channel, tenant, thing, hours)
        leave(EXIT_OK)


@app.command()
def show(
    thing: Annotated[str, typer.Argument(metavar="[KIND=VALUE]", help="Only this thing.")] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    ended: Annotated[bool, typer.Option("--ended", help="With those that have ended: the audit.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is listed, newest first, with who set it, why and until when.

    \b
    Examples:
      usher lists show
      usher lists show address=203.0.113.7 --ended
    """
    with exit_statuses():
        leave(_show(_target(home, target), tenant, thing, ended, as_json))


@app.command()
def lift(
    entry_id: Annotated[str, typer.Argument(metavar="LIST_ID", show_default=False)],
    reason: ReasonOption,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
) -> None:
    """Take something off a list; it takes effect within 5 s everywhere.

    \b
    Examples:
      usher lists lift list_0123456789abcdef0123456789abcdef --reason "mistake"
    """
    from cli.mesh import connected
    from cli.mode import user_name
    from usher.ingest.v1 import lists_pb2, lists_pb2_grpc

    with exit_statuses():
        where = _target(home, target)
        with connected(where) as channel:
            request = lists_pb2.LiftListEntryRequest(
                tenant=tenant, entry_id=entry_id, actor=actor or user_name(), reason=reason
            )
            entry = _ask(where, lists_pb2_grpc.ListServiceStub(channel).LiftListEntry, request).entry
        say(f"{entry.entry_id} is lifted, by {entry.lifted_by}")
        leave(EXIT_OK)


def _set(
    target: str,
    tenant: str,
    what: str,
    thing: str,
    reason: str,
    days: float,
    classes: Sequence[str],
    per_hour: int,
    reference: str,
    actor: str,
    yes: bool,
) -> int:
    from cli.mesh import connected
    from cli.mode import CLASSES, user_name
    from usher.ingest.v1 import lists_pb2, lists_pb2_grpc

    unknown = [name for name in classes if name not in CLASSES]
    if unknown:
        raise UnusableError(f"no class is called {unknown[0]}; there are {', '.join(CLASSES)}")
    kind, value = _thing(thing)
    entry = lists_pb2.ListEntry(
        kind=f"LIST_KIND_{what.upper()}",
        entity_kind=kind,
        entity=value,
        event_classes=[CLASSES[name] for name in classes],  # type: ignore[misc]
        limit_per_hour=per_hour,
        reason=reason,
        actor=actor or user_name(),
        reference=reference,
    )
    if days:
        entry.expires_time.FromMilliseconds(round((time.time() + days * 86_400) * 1000))
    with connected(target) as channel:
        if kind != lists_pb2.LISTED_ENTITY_USER and not _look(target, channel, tenant, thing, 24, yes):
            say("nothing was listed")
            return EXIT_INCOMPLETE
        stub = lists_pb2_grpc.ListServiceStub(channel)
        stands = _ask(
            target, stub.SetListEntry, lists_pb2.SetListEntryRequest(tenant=tenant, entry=entry)
        ).entry
    print(stands.entry_id)
    return EXIT_OK


def _look(target: str, channel: Any, tenant: str, thing: str, hours: int, yes: bool | None = None) -> bool:
    """Shows who is concerned; asks whether to go on unless `yes` (None: there is nothing to ask)."""
    from cli.mesh import printable
    from usher.ingest.v1 import lists_pb2, lists_pb2_grpc

    kind, value = _thing(thing)
    request = lists_pb2.PreviewListEntryRequest(tenant=tenant, entity_kind=kind, entity=value, hours=hours)
    answer = _ask(target, lists_pb2_grpc.ListServiceStub(channel).PreviewListEntry, request)
    scope = f"of the last {hours} h" if answer.complete else "before the bound was reached"
    say(
        f"{answer.account_count} accounts, {answer.watching} of them watching, in {answer.events_read} events {scope}:"
    )
    for one in answer.accounts[:20]:
        say(f"  {printable(one.user_id):<32}{one.events} events")
    if answer.account_count > 20:
        say(f"  and {answer.account_count - 20} more")
    if yes is None or yes:
        return True
    if not sys.stdin.isatty():
        raise UnusableError("say --yes: there is no terminal to ask at")
    return typer.confirm("List it?", err=True)


def _show(target: str, tenant: str, thing: str, ended: bool, as_json: bool) -> int:
    import orjson
    from google.protobuf.json_format import MessageToDict

    from cli.mesh import connected, printable
    from services.common.event_json import time_to_json
    from usher.ingest.v1 import lists_pb2, lists_pb2_grpc

    request = lists_pb2.ListEntriesRequest(tenant=tenant, page_size=500, include_ended=ended)
    if thing:
        request.entity = _thing(thing)[1]
    with connected(target) as channel:
        stub = lists_pb2_grpc.ListServiceStub(channel)
        while True:
            answer = _ask(target, stub.ListEntries, request)
            for one in answer.entries:
                if as_json:
                    row = MessageToDict(one, preserving_proto_field_name=True)
                    sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
                    continue
                name = lists_pb2.ListKind.Name(one.kind).removeprefix("LIST_KIND_").lower()
                sort = lists_pb2.ListedEntity.Name(one.entity_kind).removeprefix("LISTED_ENTITY_").lower()
                until = time_to_json(one.expires_time) if one.HasField("expires_time") else "for good"
                over = f"  lifted by {one.lifted_by}: {one.lift_reason}" if one.lifted_by else ""
                line = f"{one.entry_id}  {name:<6}{sort} {one.entity}  until {until}  {one.actor}: {one.reason}{over}"
                print(printable(line))
                if one.proposed:
                    print("  proposed: the accounts affected are being looked for")
                if one.HasField("affected"):
                    seen = one.affected
                    names = ", ".join(account.user_id for account in seen.accounts[:5])
                    more = " ..." if seen.account_count > 5 else ""
                    print(
                        printable(
                            f"  affected: {seen.account_count} accounts, {seen.watching} watching: {names}{more}"
                        )
                    )
            request.page_token = answer.next_page_token
            if not request.page_token:
                return EXIT_OK


def _thing(text: str) -> tuple[lists_pb2.ListedEntity, str]:
    from usher.ingest.v1 import lists_pb2

    kind, equals, value = text.partition("=")
    name = f"LISTED_ENTITY_{kind.upper()}"
    if not equals or not value or name not in lists_pb2.ListedEntity.keys()[1:]:
        raise UnusableError("write user=, device=, address= or payment= and a value: address=203.0.113.0/24")
    kinds: Any = lists_pb2.ListedEntity.Value(name)
    return kinds, value


def _ask(target: str, method: Any, request: Any) -> Any:
    from cli.mesh import call, told
    from services.common.errors import UsherError

    try:
        return call(target, method, request, 60.0)
    except UsherError as error:
        wrong = "; ".join(f"{one.field}: {one.message}" for one in error.violations)
        raise UnusableError(told(error) + (f": {wrong}" if wrong else "")) from None
