"""`usher compliance requests|holds|breaches|retention|evidence|audit`: the records of compliance.

The first argument of most commands is what to do; `--json` prints the mesh's messages as JSON.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, exit_statuses, leave, say
from cli.home import DEFAULT_HOME, Home
from cli.mesh import call, connected, printable, told
from cli.options import HomeOption, TenantOption
from services.common import signed
from services.common.errors import InvalidArgument, NotFound
from services.common.event_json import parse_time
from usher.compliance.v1 import records_pb2, records_pb2_grpc

R = records_pb2
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="ADDRESS", help="Compliance's gRPC address.", show_default=False),
]
ActorOption = Annotated[
    str, typer.Option("--actor", metavar="NAME", help="Who does it; else this user.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
TIMEOUT_S = 60.0

requests_app = typer.Typer(
    name="requests", help="Requests of data subjects.", no_args_is_help=True, rich_markup_mode=None
)
holds_app = typer.Typer(name="holds", help="Legal holds.", no_args_is_help=True, rich_markup_mode=None)
breaches_app = typer.Typer(
    name="breaches", help="The breach register.", no_args_is_help=True, rich_markup_mode=None
)
retention_app = typer.Typer(
    name="retention", help="How long data are kept.", no_args_is_help=True, rich_markup_mode=None
)
audit_app = typer.Typer(
    name="audit", help="Who saw and did what.", no_args_is_help=True, rich_markup_mode=None
)
evidence_app = typer.Typer(
    name="evidence", help="Signed evidence.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Adds the commands to `usher compliance`."""
    for one in (requests_app, holds_app, breaches_app, retention_app, evidence_app, audit_app):
        app.add_typer(one)


class Desk:
    """Calls to compliance."""

    def __init__(self, home: Path, target: str | None, tenant: str, actor: str) -> None:
        self.target = target or Home(home).target("compliance")
        self.tenant = tenant
        self.actor = actor or _user()

    def ask(self, service: str, method: str, request: Message) -> Any:
        """One call. Raises UnusableError."""
        with connected(self.target) as channel:
            stub = getattr(records_pb2_grpc, f"{service}Stub")(channel)
            try:
                return call(self.target, getattr(stub, method), request, TIMEOUT_S)
            except (InvalidArgument, NotFound) as error:
                raise UnusableError(told(error)) from None

    def stream(self, service: str, method: str, request: Message) -> bytes:
        """The content of a streaming answer."""
        with connected(self.target) as channel:
            stub = getattr(records_pb2_grpc, f"{service}Stub")(channel)

            def collect(asked: Message, timeout: float) -> bytes:
                return b"".join(piece.content for piece in getattr(stub, method)(asked, timeout=timeout))

            try:
                return call(self.target, collect, request, 10 * TIMEOUT_S)
            except (InvalidArgument, NotFound) as error:
                raise UnusableError(told(error)) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UnusableError("say with --actor who does it: this user has no name") from None


def _print(message: Message | Sequence[Message], as_json: bool, line: Callable[[Any], str]) -> None:
    for one in [message] if isinstance(message, Message) else message:
        if as_json:
            shown = MessageToDict(one, preserving_proto_field_name=True)
            sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
        else:
            print(line(one))


def _name(enum: Any, number: int, prefix: str) -> str:
    return str(enum.Name(number)).removeprefix(prefix).lower()


def _number(enum: Any, text: str, prefix: str, option: str) -> int:
    name = prefix + text.upper().replace("-", "_")
    if name not in enum.keys():  # noqa: SIM118 (an enum wrapper is no mapping)
        known = ", ".join(one.removeprefix(prefix).lower() for one in enum.keys()[1:])
        raise UnusableError(f"{option} {printable(text)}: one of {known}")
    return int(enum.Value(name))


def _set_time(field: Any, text: str, option: str) -> None:
    if text:
        try:
            seconds, nanos = parse_time(text)
        except InvalidArgument as error:
            raise UnusableError(f"{option}: {error.message}") from None
        field.seconds, field.nanos = seconds, nanos


def _request_line(one: R.SubjectRequest) -> str:
    late = "  OVERDUE" if one.overdue else ""
    duty = one.duties[0] if one.duties else R.RequestDuty()
    basis = "" if duty.binding else " (not a binding count)"
    return (
        f"{one.request_id}  {_name(R.SubjectRight, one.right, 'SUBJECT_RIGHT_'):<13}{one.jurisdiction:<6}"
        f"{_name(R.SubjectRequestState, one.state, 'SUBJECT_REQUEST_STATE_'):<15}due {one.due_time.ToJsonString()[:10]}"
        f"  {duty.regulation} {printable(duty.cite)}{basis}{late}"
    )


@requests_app.command("open")
def open_request(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The subject.")],
    right: Annotated[
        str,
        typer.Option(
            "--right",
            metavar="RIGHT",
            help="access, erasure, portability, rectification, restriction, objection, opt-out or contest.",
        ),
    ],
    country: Annotated[str, typer.Option("--country", metavar="CODE", help="Where they live: NL, US-CA.")],
    received: Annotated[
        str, typer.Option("--received", metavar="TIME", help="RFC 3339; else now.", show_default=False)
    ] = "",
    identity_confirmed: Annotated[
        bool, typer.Option("--identity-confirmed", help="It is known to be them.")
    ] = False,
    event: Annotated[
        str, typer.Option("--event", metavar="ID", help="Contest: the event.", show_default=False)
    ] = "",
    details: Annotated[str, typer.Option("--details", help="What they wrote.", show_default=False)] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a request in and say when an answer is due, under which law.

    \b
    Examples:
      usher compliance requests open --user user_42 --right erasure --country NL --identity-confirmed
      usher compliance requests open --user user_42 --right contest --event evt_1 --country DE
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.OpenSubjectRequestRequest(
            tenant=tenant,
            user_id=user,
            right=_number(R.SubjectRight, right, "SUBJECT_RIGHT_", "--right"),  # type: ignore[arg-type]
            jurisdiction=country,
            identity_confirmed=identity_confirmed,
            event_id=event,
            details=details,
            actor=desk.actor,
        )
        _set_time(asked.received_time, received, "--received")
        if not received:
            asked.ClearField("received_time")
        answer = desk.ask("SubjectRequestService", "OpenSubjectRequest", asked)
        _print(answer.request, as_json, _request_line)
        leave(EXIT_OK)


@requests_app.command("list")
def list_requests(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Only theirs.", show_default=False)] = "",
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only overdue ones; any gives exit status 1.")
    ] = False,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """List requests, the ones due first in front.

    \b
    Examples:
      usher compliance requests list
      usher compliance requests list --overdue --json
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        token, found = "", False
        while True:
            asked = R.ListSubjectRequestsRequest(
                tenant=tenant,
                user_id=user,
                include_closed=closed,
                overdue_only=overdue,
                page_token=token,
                actor=desk.actor,
            )
            answer = desk.ask("SubjectRequestService", "ListSubjectRequests", asked)
            _print(answer.requests, as_json, _request_line)
            found = found or bool(answer.requests)
            token = answer.next_page_token
            if not token:
                break
        leave(EXIT_INCOMPLETE if overdue and found else EXIT_OK)


@requests_app.command("show")
def show_request(
    request_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a request: its duties, its life, how far an erasure has come.

    \b
    Example:
      usher compliance requests show sr_0123
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.GetSubjectRequestRequest(tenant=tenant, request_id=request_id, actor=desk.actor)
        one = desk.ask("SubjectRequestService", "GetSubjectRequest", asked).request
        _print(one, as_json, _request_line)
        if not as_json:
            for duty in one.duties:
                print(
                    f"  {duty.what:<12}{duty.regulation:<16}{duty.due_time.ToJsonString():<26}{duty.period}"
                    f"  {'law' if duty.binding else 'guidance or policy'}  {printable(duty.cite)}"
                )
            for step in one.steps:
                print(
                    f"  {step.time.ToJsonString():<26}{step.step:<20}{printable(step.actor)}  {printable(step.note)}"
                )
        leave(EXIT_OK)


@requests_app.command("act")
def act(
    request_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="acknowledge, ask-identity, confirm-identity, reject-identity, extend, fulfil, answer, refuse or "
            "withdraw.",
            show_default=False,
        ),
    ],
    note: Annotated[str, typer.Option("--note", help="Reason or answer.", show_default=False)] = "",
    contest: Annotated[
        str, typer.Option("--contest", metavar="OUTCOME", help="upheld or overturned.", show_default=False)
    ] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Move a request on. `fulfil` erases in all services and goes on until nothing is left.

    \b
    Examples:
      usher compliance requests act sr_0123 confirm-identity
      usher compliance requests act sr_0123 fulfil
      usher compliance requests act sr_0123 extend --note "complex: three brands"
      usher compliance requests act sr_0123 answer --contest overturned --note "it was the viewer on a journey"
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.ActOnSubjectRequestRequest(
            tenant=tenant,
            request_id=request_id,
            action=_number(R.SubjectRequestAction, action, "SUBJECT_REQUEST_ACTION_", "ACTION"),  # type: ignore[arg-type]
            note=note,
            actor=desk.actor,
        )
        if contest:
            asked.contest = _number(R.ContestOutcome, contest, "CONTEST_OUTCOME_", "--contest")  # type: ignore[assignment]
        answer = desk.ask("SubjectRequestService", "ActOnSubjectRequest", asked)
        _print(answer.request, as_json, _request_line)
        leave(EXIT_OK)


@requests_app.command("export")
def export(
    request_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
) -> None:
    """Write the bundle of an access or portability request, and complete the request.

    \b
    Example:
      usher compliance requests export sr_0123 user_42.zip
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.DownloadSubjectExportRequest(tenant=tenant, request_id=request_id, actor=desk.actor)
        content = desk.stream("SubjectRequestService", "DownloadSubjectExport", asked)
        _write(file, content)
        say(f"{file}: {len(content)} bytes; hand it over safely and delete it here")
        leave(EXIT_OK)


@requests_app.command("certificate")
def certificate(
    request_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
) -> None:
    """Print the signed certificate of a completed erasure. `usher compliance evidence verify` checks it.

    \b
    Example:
      usher compliance requests certificate sr_0123 > certificate.json
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.GetSubjectRequestRequest(tenant=tenant, request_id=request_id, actor=desk.actor)
        one = desk.ask("SubjectRequestService", "GetSubjectRequest", asked).request
        if not one.certificate:
            raise UnusableError("this request has no certificate: only a completed erasure has one")
        print(one.certificate)
        leave(EXIT_OK)


@holds_app.command("place")
def place_hold(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The subject.")],
    reason: Annotated[str, typer.Option("--reason", help="Case or statute.")],
    store: Annotated[
        list[str] | None, typer.Option("--store", help="Only this store; several are allowed.")
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Keep a subject's data from being erased.

    \b
    Example:
      usher compliance holds place --user user_42 --reason "court order 4711" --store decisions
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.PlaceLegalHoldRequest(
            tenant=tenant, user_id=user, reason=reason, stores=store or [], actor=desk.actor
        )
        _print(desk.ask("SubjectRequestService", "PlaceLegalHold", asked).hold, as_json, _hold_line)
        leave(EXIT_OK)


@holds_app.command("release")
def release_hold(
    hold_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a hold; an erasure that waited for it goes on.

    \b
    Example:
      usher compliance holds release hold_0123
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.ReleaseLegalHoldRequest(tenant=tenant, hold_id=hold_id, actor=desk.actor)
        _print(desk.ask("SubjectRequestService", "ReleaseLegalHold", asked).hold, as_json, _hold_line)
        leave(EXIT_OK)


@holds_app.command("list")
def list_holds(
    released: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """List holds, the newest first.

    \b
    Example:
      usher compliance holds list --all
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.ListLegalHoldsRequest(tenant=tenant, include_released=released, actor=desk.actor)
        _print(desk.ask("SubjectRequestService", "ListLegalHolds", asked).holds, as_json, _hold_line)
        leave(EXIT_OK)


def _hold_line(one: R.LegalHold) -> str:
    state = f"released {one.released_time.ToJsonString()}" if one.HasField("released_time") else "in force"
    stores = ", ".join(one.stores) or "everything"
    return (
        f"{one.hold_id}  {printable(one.user_id) or '(erased)'}  {stores}  {state}  {printable(one.reason)}"
    )


def _breach_lines(one: R.Breach) -> str:
    lines = [f"{one.breach_id}  aware {one.aware_time.ToJsonString()}  {printable(one.description)[:60]}"]
    for duty in one.duties:
        due = duty.due_time.ToJsonString() if duty.HasField("due_time") else duty.wording or "not begun"
        state = "sent" if duty.HasField("sent_time") else "OVERDUE" if duty.overdue else duty.applies
        recipient = _name(R.NoticeRecipient, duty.recipient, "NOTICE_RECIPIENT_")
        lines.append(
            f"  {state:<15}{duty.regulation:<16}{recipient:<10}{duty.stage:<11}{due:<26}{duty.basis}"
            f"  {printable(duty.cite)}  ({printable(duty.because)})"
        )
    return "\n".join(lines)


@breaches_app.command("register")
def register_breach(
    description: Annotated[str, typer.Option("--description", help="What happened, without names.")],
    aware: Annotated[str, typer.Option("--aware", metavar="TIME", help="Aware since, RFC 3339.")],
    affected: Annotated[
        list[str], typer.Option("--affected", metavar="CODE=N", help="People: NL=1200; several are allowed.")
    ],
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Kind of data; several are allowed.")
    ] = None,
    risk: Annotated[
        str, typer.Option("--risk", metavar="RISK", help="unlikely, likely or high.", show_default=False)
    ] = "unspecified",
    encrypted: Annotated[bool, typer.Option("--encrypted", help="The key was not lost.")] = False,
    unlawful: Annotated[bool, typer.Option("--unlawful", help="Theft, ransom or the like.")] = False,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Register a breach: who must be told, under which law, by when.

    \b
    Example:
      usher compliance breaches register --description "mailing list published" --aware 2026-11-25T08:00:00Z \\
        --affected NL=1200 --affected BR=40 --kind contact --risk likely
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        breach = R.Breach(
            tenant=tenant,
            description=description,
            data_kinds=kind or [],
            risk=_number(R.BreachRisk, risk, "BREACH_RISK_", "--risk"),  # type: ignore[arg-type]
            encrypted=encrypted,
            unlawful=unlawful,
        )
        for text in affected:
            place, _, number = text.partition("=")
            if not number.isdecimal():
                raise UnusableError(f"--affected {printable(text)}: a place and a number, NL=1200")
            breach.affected[place] = int(number)
        _set_time(breach.aware_time, aware, "--aware")
        answer = desk.ask(
            "BreachService", "RegisterBreach", R.RegisterBreachRequest(breach=breach, actor=desk.actor)
        )
        _print(answer.breach, as_json, _breach_lines)
        leave(EXIT_OK)


@breaches_app.command("list")
def list_breaches(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """List breaches with their countdowns, the newest first.

    \b
    Example:
      usher compliance breaches list
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.ListBreachesRequest(tenant=tenant, page_size=500, actor=desk.actor)
        _print(desk.ask("BreachService", "ListBreaches", asked).breaches, as_json, _breach_lines)
        leave(EXIT_OK)


@breaches_app.command("draft")
def draft(
    breach_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    regulation: Annotated[str, typer.Option("--regulation", metavar="ID")],
    to: Annotated[str, typer.Option("--to", metavar="WHOM", help="regulator or subjects.")],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
) -> None:
    """Draft a notice; what a person must fill in stands in square brackets.

    \b
    Example:
      usher compliance breaches draft br_0123 --regulation EU_GDPR --to regulator
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.DraftNoticeRequest(
            tenant=tenant,
            breach_id=breach_id,
            regulation=regulation,
            recipient=_number(R.NoticeRecipient, to, "NOTICE_RECIPIENT_", "--to"),  # type: ignore[arg-type]
            actor=desk.actor,
        )
        print(desk.ask("BreachService", "DraftNotice", asked).text, end="")
        leave(EXIT_OK)


@breaches_app.command("sent")
def sent(
    breach_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    regulation: Annotated[str, typer.Option("--regulation", metavar="ID")],
    to: Annotated[str, typer.Option("--to", metavar="WHOM", help="regulator or subjects.")],
    note: Annotated[str, typer.Option("--note", help="Reference, channel.")],
    stage: Annotated[str, typer.Option("--stage", help="first, supplement, final, ...")] = "first",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Record that a notice was sent.

    \b
    Example:
      usher compliance breaches sent br_0123 --regulation EU_GDPR --to regulator --note "portal, ref. 2026-88"
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.RecordNoticeRequest(
            tenant=tenant,
            breach_id=breach_id,
            regulation=regulation,
            recipient=_number(R.NoticeRecipient, to, "NOTICE_RECIPIENT_", "--to"),  # type: ignore[arg-type]
            stage=stage,
            note=note,
            actor=desk.actor,
        )
        _print(desk.ask("BreachService", "RecordNotice", asked).breach, as_json, _breach_lines)
        leave(EXIT_OK)


def _policy_line(one: R.RetentionPolicy) -> str:
    least = f"  at least {one.minimum_days} d ({printable(one.minimum_cite)})" if one.minimum_days else ""
    place = one.jurisdiction or "*"
    return f"{one.kind:<18}{place:<8}{one.days:>6} d  {one.basis:<10}{one.action:<11}{printable(one.cite)}{least}"


@retention_app.command("policies")
def policies(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Show how long what is kept, and whether law or house policy says so.

    \b
    Example:
      usher compliance retention policies
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, "")
        asked = R.ListRetentionPoliciesRequest(tenant=tenant)
        _print(desk.ask("RetentionService", "ListRetentionPolicies", asked).policies, as_json, _policy_line)
        leave(EXIT_OK)


@retention_app.command("run")
def run_retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Delete or anonymise what is older than its period; the signed report is kept.

    \b
    Examples:
      usher compliance retention run --dry-run
      usher compliance retention run --json | jq -r .report > report.json
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.RunRetentionRequest(tenant=tenant, dry_run=dry_run, actor=desk.actor)
        run = desk.ask("RetentionService", "RunRetention", asked).run
        _print(run, as_json, lambda one: f"{one.run_id}  {'would delete' if one.dry_run else 'deleted'}:")
        if not as_json:
            for result in run.results:
                print(f"  {_policy_line(result.policy)}: {result.rows} rows, {result.held} held")
            if not run.results:
                print("  nothing was older than its period")
        leave(EXIT_OK)


@evidence_app.command("export")
def evidence(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", show_default=False)],
    subject: Annotated[
        str, typer.Option("--subject", metavar="ID", help="The subject.", show_default=False)
    ] = "",
    period: Annotated[
        str,
        typer.Option(
            "--period", metavar="FROM/TO", help="RFC 3339 times; TO may be left out.", show_default=False
        ),
    ] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
) -> None:
    """Write signed evidence: decisions, the packs they were made under, consents, suppressions.

    \b
    Examples:
      usher compliance evidence export evidence.json --subject user_42
      usher compliance evidence export november.json --period 2026-11-01T00:00:00Z/2026-12-01T00:00:00Z
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.ExportEvidenceRequest(tenant=tenant, user_id=subject, actor=desk.actor)
        if period:
            since, _, until = period.partition("/")
            _set_time(asked.since_time, since, "--period")
            if until:
                _set_time(asked.until_time, until, "--period")
        content = desk.stream("EvidenceService", "ExportEvidence", asked)
        _write(file, content)
        say(f"{file}: {len(content)} bytes, signed; `usher compliance evidence verify {file}` checks it")
        leave(EXIT_OK)


@evidence_app.command("key")
def key(
    home: HomeOption = Path(DEFAULT_HOME), target: TargetOption = None, tenant: TenantOption = "dev"
) -> None:
    """Print the public key that documents are signed with. Publish it where it cannot be exchanged.

    \b
    Example:
      usher compliance evidence key > usher.pem
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, "")
        print(desk.ask("EvidenceService", "GetSigningKey", R.GetSigningKeyRequest()).public_key, end="")
        leave(EXIT_OK)


@evidence_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", show_default=False)],
    key_file: Annotated[
        Path | None,
        typer.Option("--key", metavar="KEY.pem", help="The key it must be signed with.", show_default=False),
    ] = None,
) -> None:
    """Check the signature of evidence, a certificate or a report. Needs no mesh; exit status 1 where it does not hold.

    Without --key it only shows that the document is what its own key signed: compare the key's id.

    \b
    Example:
      usher compliance evidence verify certificate.json --key usher.pem
    """
    with exit_statuses():
        try:
            document = json.loads(file.read_bytes())
            public = None if key_file is None else signed.read_public_pem(key_file.read_bytes())
            if not isinstance(document, dict):
                raise signed.SignatureError("this is no signed document")
            found = signed.verify(document, public)
        except OSError as error:
            raise UnusableError(f"{error.filename}: {error.strerror}") from None
        except json.JSONDecodeError as error:
            raise UnusableError(f"{file} is not JSON: {error}") from None
        except signed.SignatureError as error:
            say(f"{file}: {error}")
            leave(EXIT_INCOMPLETE)
        how = "" if key_file else "; compare this id with the one that the controller published"
        print(f"{file}: {document.get('kind', 'document')}, signature holds, key {found}{how}")
        leave(EXIT_OK)


@audit_app.command("list")
def list_audit(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="About them.", show_default=False)] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show who saw and did what, in order.

    \b
    Example:
      usher compliance audit list --user user_42
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        token = ""
        while True:
            asked = R.ListAuditRequest(
                tenant=tenant, user_id=user, page_size=1_000, page_token=token, actor=desk.actor
            )
            answer = desk.ask("EvidenceService", "ListAudit", asked)
            _print(
                answer.entries,
                as_json,
                lambda one: (
                    f"{one.sequence:>8}  {one.time.ToJsonString():<26}{printable(one.actor):<16}{one.action:<44}"
                    f"{one.object}  {one.outcome}"
                ),
            )
            token = answer.next_page_token
            if not token:
                break
        leave(EXIT_OK)


@audit_app.command("verify")
def verify_audit(
    home: HomeOption = Path(DEFAULT_HOME), target: TargetOption = None, tenant: TenantOption = "dev"
) -> None:
    """Recompute the chain of the audit log; exit status 1 where it is broken.

    \b
    Example:
      usher compliance audit verify
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, "")
        answer = desk.ask("EvidenceService", "VerifyAudit", R.VerifyAuditRequest())
        if not answer.intact:
            print(f"broken at entry {answer.broken_at}")
            leave(EXIT_INCOMPLETE)
        print(f"{answer.entries} entries, intact, head {answer.head}")
        leave(EXIT_OK)


@audit_app.command("activities")
def activities(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    actor: ActorOption = "",
) -> None:
    """Print the records of processing activities (GDPR art. 30) as JSON; the controller completes them.

    \b
    Example:
      usher compliance audit activities | jq '.[].activity'
    """
    with exit_statuses():
        desk = Desk(home, target, tenant, actor)
        asked = R.GetProcessingRecordsRequest(tenant=tenant, actor=desk.actor)
        print(
            json.dumps(json.loads(desk.ask("EvidenceService", "GetProcessingRecords", asked).json), indent=2)
        )
        leave(EXIT_OK)


def _write(file: Path, content: bytes) -> None:
    try:
        # It holds personal data: for its owner's eyes.
        file.touch(mode=0o600)
        file.write_bytes(content)
    except OSError as error:
        raise UnusableError(f"{file}: {error.strerror}") from None
