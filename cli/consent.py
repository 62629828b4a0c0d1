"""`usher consent`: consent strings, without a mesh; the consent ledger of a running one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, exit_statuses, leave, say
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TenantOption

app = typer.Typer(
    name="consent",
    help="Consent strings and the consent ledger.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

UserArgument = Annotated[str, typer.Argument(metavar="USER_ID", help="The viewer.", show_default=False)]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="ADDRESS",
        help="Compliance's gRPC address, unix:/path or host:port, instead of the mesh of --home.",
        show_default=False,
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option("--time", metavar="TIME", help="As of when, RFC 3339; unset: now.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as one JSON object on stdout.")]

_TIMEOUT = 10.0


@app.command("decode")
def decode_command(
    strings: Annotated[
        list[str],
        typer.Argument(
            metavar="STRING...",
            help="TCF, GPP or US Privacy strings; - reads one a line from stdin.",
            show_default=False,
        ),
    ],
    names: Annotated[
        bool,
        typer.Option("--names", help="Add the names of purposes and vendors from the Global Vendor List."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for likeness: the answer is JSON lines in any case.")
    ] = False,
) -> None:
    """Decode TCF, GPP and US Privacy strings: one JSON line each, in order.

    A string that cannot be read says why: {"kind","valid":false,"error"}; the exit status is 1 then. A section of a
    GPP string that cannot be read holds its error and leaves the others readable.

    \b
    Examples:
      usher consent decode 1YNN
      usher consent decode --names CQd924AQd924AASACCENCNFsAP_gAEIAACiQL6QBAAGAAOANmAcAF9IAIADgAA
      cut -f3 consents.tsv | usher consent decode - | jq .decoded.vendorConsents
    """
    with exit_statuses():
        whole = True
        for text in _read(strings):
            line = describe(text, names=names)
            whole = whole and line["valid"]
            if line["valid"] and line["decoded"].get("version") == 1 and line["kind"] == "tcf_v2":
                say("usher: TCF version 1 was retired on 15 August 2020: the mesh takes it for no consent")
            print(json.dumps(line, ensure_ascii=False), flush=True)
        leave(EXIT_OK if whole else EXIT_INCOMPLETE)


def _read(strings: Iterable[str]) -> Iterator[str]:
    for text in strings:
        if text != "-":
            yield text
            continue
        # Bytes that are no text are part of a string that cannot be read, not the end of the command.
        for line in sys.stdin.buffer:
            yield line.rstrip(b"\r\n").decode("utf-8", "replace")


def describe(text: str, *, names: bool = False) -> dict[str, Any]:
    """What a string says: {"kind", "valid", "decoded"}, or {"kind", "valid": False, "error"}."""
    from services.common import consent_strings

    try:
        decoded = consent_strings.decode(text)
    except consent_strings.ConsentStringError as error:
        return {"kind": consent_strings.kind_of(text), "valid": False, "error": f"{error.reason}: {error}"}
    line = {"kind": decoded.kind, "valid": True, "decoded": decoded.value.as_json()}
    if names:
        line["names"] = _names(decoded.value)
    return line


def _names(value: Any) -> dict[str, Any]:
    """Names of what a TC string, or the TC string within a GPP string, consents to; {} where there is none."""
    from services.common.consent_strings import GppString, TcString, gvl

    if isinstance(value, GppString):
        value = value.sections.get(2)
    if not isinstance(value, TcString):
        return {}
    known = gvl.shipped()
    return {
        "purposeConsents": {number: known.purposes.get(number) for number in value.purpose_consents},
        "purposeLegitimateInterests": {
            number: known.purposes.get(number) for number in value.purpose_legitimate_interests
        },
        "specialFeatureOptins": {
            number: known.special_features.get(number) for number in value.special_feature_optins
        },
        "vendorConsents": {number: known.vendors.get(number) for number in value.vendor_consents},
        "vendorListVersion": known.version,
        "source": gvl.ATTRIBUTION,
    }


@app.command("show")
def show_command(
    user_id: UserArgument,
    time: TimeOption = None,
    known: Annotated[
        str | None,
        typer.Option(
            "--known", metavar="TIME", help="As known when: later entries are left out.", show_default=False
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every entry with its receipt instead of the state.")
    ] = False,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Show what a viewer consented to, now or at any time.

    \b
    Examples:
      usher consent show user_42
      usher consent show user_42 --time 2026-03-01T00:00:00Z --known 2026-03-02T00:00:00Z
      usher consent show user_42 --history --json
    """
    with exit_statuses():
        _show(user_id, time, known, history, target or Home(home).target("compliance"), tenant, as_json)
        leave(EXIT_OK)


@app.command("record")
def record_command(
    user_id: UserArgument,
    act: Annotated[
        str, typer.Argument(metavar="ACT", help="given, refused or withdrawn.", show_default=False)
    ],
    purposes: Annotated[
        list[str],
        typer.Argument(metavar="PURPOSE...", help="targeted_advertising, analytics, ...", show_default=False),
    ],
    source: Annotated[
        str, typer.Option("--source", metavar="WORD", help="Where it was expressed.")
    ] = "operator",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="WORD", help="What else it covers; may be repeated.", show_default=False
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="When the viewer acted; unset: now.", show_default=False),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="When it ends.", show_default=False)
    ] = None,
    policy: Annotated[
        str, typer.Option("--policy", metavar="VERSION", help="Version of the notice that was shown.")
    ] = "",
    proof: Annotated[str, typer.Option("--proof", metavar="REFERENCE", help="Where the evidence lies.")] = "",
    consent_string: Annotated[
        str, typer.Option("--string", metavar="STRING", help="The consent string as evidence.")
    ] = "",
    given_by: Annotated[str, typer.Option("--given-by", metavar="WHO", help="adult, child or parent.")] = "",
    request_id: Annotated[
        str, typer.Option("--request-id", metavar="ID", help="Sent again, it is recorded once.")
    ] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Record what a viewer agreed to, refused or withdrew; prints the receipts.

    \b
    Examples:
      usher consent record user_42 given targeted_advertising analytics --source call_centre --policy 2026-01
      usher consent record user_42 withdrawn targeted_advertising --time 2026-11-01T09:30:00Z
    """
    fields: dict[str, Any] = {
        "act": act,
        "source": source,
        "scope": scope or None,
        "effective_time": time,
        "expires_time": expires,
        "policy_version": policy or None,
        "given_by": given_by or None,
    }
    evidence = {"reference": proof or None, "consent_string": consent_string or None}
    if any(evidence.values()):
        fields["proof"] = evidence
    with exit_statuses():
        _record(
            user_id,
            [fields | {"purpose": purpose} for purpose in purposes],
            request_id,
            target or Home(home).target("compliance"),
            tenant,
            as_json,
        )
        leave(EXIT_OK)


@app.command("verify")
def verify_command(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Recompute the chain of the tenant's ledger; the exit status is 1 where it is broken.

    \b
    Example:
      usher consent verify --tenant acme
    """
    with exit_statuses():
        found = _verify(target or Home(home).target("compliance"), tenant)
        if as_json:
            print(json.dumps(found))
        elif found["broken_seq"]:
            print(f"broken at entry {found['broken_seq']}: {found['broken']}")
        else:
            print(
                f"{found['checked']:,} entries are as they were recorded, {found['erased']:,} of them erased"
            )
        leave(EXIT_INCOMPLETE if found["broken_seq"] else EXIT_OK)


def _show(
    user_id: str, time: str | None, known: str | None, history: bool, target: str, tenant: str, as_json: bool
) -> None:
    from services.common.consent_json import entry_to_json, state_to_json
    from usher.compliance.v1 import consent_pb2

    if history:
        entries, token = [], ""
        while True:
            request = consent_pb2.ListConsentsRequest(
                tenant=tenant, user_id=user_id, page_size=200, page_token=token
            )
            page = _ask(target, "ListConsents", request)
            entries += [entry_to_json(entry) for entry in page.entries]
            token = page.next_page_token
            if not token:
                break
        if as_json:
            print(json.dumps({"entries": entries}))
            return
        _print_table(
            ("recorded", "act", "purpose", "effective", "source", "receipt"),
            [
                (
                    entry["recorded_time"],
                    entry["act"],
                    (entry["record"] or {}).get("purpose", "erased"),
                    (entry["record"] or {}).get("effective_time", ""),
                    (entry["record"] or {}).get("source", ""),
                    entry["receipt_id"],
                )
                for entry in entries
            ],
        )
        return
    asked = consent_pb2.GetConsentRequest(tenant=tenant, user_id=user_id)
    for name, text in (("time", time), ("known_time", known)):
        if text is not None:
            _set_time(getattr(asked, name), text, "--time" if name == "time" else "--known")
    answer = _ask(target, "GetConsent", asked)
    states = [state_to_json(state) for state in answer.states]
    if as_json:
        print(json.dumps({"states": states, "ledger_version": answer.ledger_version}))
        return
    if not states:
        print(f"nothing is known of the consent of {user_id}")
        return
    _print_table(
        ("purpose", "status", "since", "expires", "scope", "source", "receipt"),
        [
            (
                state["purpose"],
                state["status"],
                state["withdrawn_time"] or state["obtained_time"] or state["record"]["effective_time"],
                state["expires_time"] or "",
                " ".join(state["scope"]),
                state["record"].get("source", ""),
                state["receipt_id"],
            )
            for state in states
        ],
    )


def _record(
    user_id: str, records: list[dict[str, Any]], request_id: str, target: str, tenant: str, as_json: bool
) -> None:
    from services.common.consent_json import receipt_to_json, record_from_json
    from services.common.errors import InvalidArgument
    from usher.compliance.v1 import consent_pb2

    try:
        made = [record_from_json(record, f"records[{place}]") for place, record in enumerate(records)]
    except InvalidArgument as error:
        raise UnusableError(error.message) from error
    request = consent_pb2.RecordConsentRequest(
        tenant=tenant, user_id=user_id, records=made, request_id=request_id
    )
    answer = _ask(target, "RecordConsent", request)
    receipts = [receipt_to_json(receipt) for receipt in answer.receipts]
    if as_json:
        print(json.dumps({"receipts": receipts, "repeated_request": answer.repeated_request}))
        return
    for record, receipt in zip(records, receipts, strict=True):
        again = " (recorded before)" if answer.repeated_request else ""
        print(
            f"{receipt['receipt_id']}  {receipt['act']} {record['purpose']} at {receipt['recorded_time']}{again}"
        )


def _verify(target: str, tenant: str) -> dict[str, Any]:
    from usher.compliance.v1 import consent_pb2

    found: dict[str, Any] = {"checked": 0, "erased": 0, "broken_seq": 0, "broken": ""}
    after = 0
    while True:
        request = consent_pb2.VerifyConsentsRequest(tenant=tenant, after_seq=after)
        answer = _ask(target, "VerifyConsents", request)
        found["checked"] += answer.checked
        found["erased"] += answer.erased
        found["broken_seq"], found["broken"] = answer.broken_seq, answer.broken
        if answer.complete or answer.broken_seq:
            return found
        after = answer.last_seq


def _ask(target: str, method: str, request: Any) -> Any:
    from cli.mesh import call, connected, told
    from services.common.errors import UsherError
    from usher.compliance.v1 import consent_pb2_grpc

    with connected(target) as channel:
        try:
            return call(
                target, getattr(consent_pb2_grpc.ConsentServiceStub(channel), method), request, _TIMEOUT
            )
        except UsherError as error:
            raise UnusableError(told(error)) from error


def _set_time(stamp: Any, text: str, option: str) -> None:
    from services.common.errors import InvalidArgument
    from services.common.event_json import parse_time

    try:
        stamp.seconds, stamp.nanos = parse_time(text)
    except InvalidArgument as error:
        raise UnusableError(f"{option}: {error.message}") from error


def _print_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for head in heads:
        # A word that was cut could not be copied.
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
