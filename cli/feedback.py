"""`usher profile`, `usher account`, `usher feedback`: what is known of an account, and what turned out."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import EXIT_INCOMPLETE, UnusableError, exit_statuses, leave
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TargetOption, TenantOption

app = typer.Typer(rich_markup_mode=None)
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", show_default=False)]
TIMEOUT = 30.0


@app.command("profile")
def profile_command(
    user: UserArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Show what is known of an account: facts, segment, features and what is usual for it.

    \b
    Examples:
      usher profile user_42
      usher profile user_42 --json | jq '.profile.features'
    """
    from google.protobuf import json_format

    from usher.ingest.v1 import accounts_pb2, accounts_pb2_grpc

    with exit_statuses():
        request = accounts_pb2.GetProfileRequest(tenant=tenant, user_id=user)
        answer = _ask(home, target, accounts_pb2_grpc.AccountServiceStub, "GetProfile", request)
        if as_json:
            shown = json_format.MessageToDict(answer, preserving_proto_field_name=True)
            print(json.dumps(shown))
            return
        for line in answer.profile.sentences:
            print(line)
        if answer.not_folded:
            print(f"{answer.not_folded} events wait to be folded into the profile: scoring was away.")
        facts = json_format.MessageToDict(answer.facts, preserving_proto_field_name=True)
        if facts:
            print("\nFacts told by the platform:")
            for name, value in facts.items():
                since = answer.as_of[name].ToJsonString() if name in answer.as_of else "?"
                print(f"  {name:<24}{value!s:<28}since {since}")
        print(f"\n{'feature':<26}{'now':>12}{'usual':>12}  meaning")
        for one in answer.profile.features:
            mark = "" if one.own_normal else "*"
            print(f"{one.name:<26}{one.value:>12.4g}{one.normal:>11.4g}{mark or ' '}  {one.meaning}")
        print("* usual among all viewers; the others are this account's own")


@app.command("account")
def account_command(
    user: UserArgument,
    facts: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Facts.", show_default=False)],
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Since when, RFC 3339; else now.", show_default=False),
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
) -> None:
    """Tell facts of an account: they then hold for all its later events. An older fact never overwrites a newer one.

    Names are those of an event's `account`: plan, created_time, chargebacks, registered_devices, stream_limit, trial,
    email_domain, email_verified, signup_ip_address, household_id, second_factor_enrolled.

    \b
    Examples:
      usher account user_42 plan=premium created_time=2024-03-01T00:00:00Z
      usher account user_42 chargebacks=1 --as-of 2026-11-20T08:00:00Z
    """
    from google.protobuf import json_format

    from usher.ingest.v1 import accounts_pb2, accounts_pb2_grpc

    with exit_statuses():
        told: dict[str, Any] = {}
        for one in facts:
            name, equals, value = one.partition("=")
            if not equals:
                raise UnusableError(f"{one!r} is not NAME=VALUE")
            told[name] = {"true": True, "false": False}.get(value, value)
        request = accounts_pb2.RecordAccountsRequest(tenant=tenant)
        update = request.accounts.add(user_id=user)
        try:
            json_format.ParseDict(told, update.facts)
            update.as_of_time.FromJsonString(as_of or _now())
        except (json_format.ParseError, ValueError) as error:
            raise UnusableError(str(error)) from None
        answer = _ask(home, target, accounts_pb2_grpc.AccountServiceStub, "RecordAccounts", request)
        result = answer.results[0]
        if result.status == accounts_pb2.ACCOUNT_STATUS_INVALID:
            raise UnusableError(result.error)
        print("recorded" if result.status == accounts_pb2.ACCOUNT_STATUS_RECORDED else "nothing new")


@app.command("feedback")
def feedback_command(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="fraud-confirmed, false-alarm, chargeback, takeover-confirmed, legitimate, finding-upheld, "
            "finding-dismissed",
            show_default=False,
        ),
    ],
    events: Annotated[list[str], typer.Argument(metavar="EVENT_ID...", show_default=False)],
    source: Annotated[str, typer.Option("--source", metavar="WORD", help="Who found out.")] = "analyst",
    rule: Annotated[
        str, typer.Option("--rule", metavar="NAME", help="Of a finding.", show_default=False)
    ] = "",
    reference: Annotated[
        str, typer.Option("--reference", metavar="ID", help="Case or incident.", show_default=False)
    ] = "",
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="When it became known; else now.", show_default=False),
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
) -> None:
    """Tell what turned out of events. Training, thresholds and the fairness panel learn from it.

    \b
    Examples:
      usher feedback fraud-confirmed evt_1 evt_2
      usher feedback chargeback evt_3 --source processor --reference case-77
    """
    from usher.ingest.v1 import labels_pb2, labels_pb2_grpc

    with exit_statuses():
        known = {
            name.removeprefix("LABEL_KIND_").lower().replace("_", "-"): number
            for name, number in labels_pb2.LabelKind.items()
            if number
        }
        if kind not in known:
            raise UnusableError(f"{kind} is none of {', '.join(known)}")
        request = labels_pb2.RecordLabelsRequest(tenant=tenant)
        for event in events:
            text = "\0".join((kind, event, rule, source, reference, time or ""))
            label = request.labels.add(
                # The same told twice is one label.
                label_id=f"cli_{hashlib.sha256(text.encode()).hexdigest()[:32]}",
                subject_kind=labels_pb2.LABEL_SUBJECT_EVENT,
                subject=event,
                kind=known[kind],
                rule=rule,
                source=source,
                actor=getpass.getuser(),
                reference=reference,
            )
            try:
                label.label_time.FromJsonString(time or _now())
            except ValueError as error:
                raise UnusableError(f"--time: {error}") from None
        answer = _ask(home, target, labels_pb2_grpc.LabelServiceStub, "RecordLabels", request)
        wrong = False
        for event, result in zip(events, answer.results, strict=True):
            status = labels_pb2.LabelStatus.Name(result.status).removeprefix("LABEL_STATUS_").lower()
            wrong |= bool(result.error)
            print(f"{event}\t{status}{': ' + result.error if result.error else ''}")
        if wrong:
            leave(EXIT_INCOMPLETE)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def _ask(home: Path, target: str | None, stub: Any, method: str, request: Any) -> Any:
    from cli.mesh import call, connected, told
    from services.common.errors import UsherError

    address = target or Home(home).target("ingest")
    with connected(address) as channel:
        try:
            return call(address, getattr(stub(channel), method), request, TIMEOUT)
        except UsherError as error:
            raise UnusableError(told(error)) from None
