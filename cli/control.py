"""`usher scoring control`: the control group and the sample of what was allowed, as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import UnusableError, exit_statuses
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TargetOption, TenantOption

if TYPE_CHECKING:
    from usher.ingest.v1 import feedback_pb2

TIMEOUT = 30.0


def control_command(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")] = False,
) -> None:
    """Show the control group and the sample: who is drawn, how many were let through, what was found of both.

    Who is drawn says feedback.yaml of the policy set; by default nobody. What was found is as of the last `retrain`.

    \b
    Examples:
      usher scoring control
      usher scoring control --json | jq '.hours[0]'
    """
    from google.protobuf import json_format

    from cli.mesh import call, connected, told
    from services.common.errors import UsherError
    from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc

    with exit_statuses():
        address = target or Home(home).target("ingest")
        with connected(address) as channel:
            stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
            request = feedback_pb2.GetControlGroupRequest(tenant=tenant)
            try:
                answer = call(address, stub.GetControlGroup, request, TIMEOUT)
            except UsherError as error:
                raise UnusableError(told(error)) from None
        if as_json:
            print(json.dumps(json_format.MessageToDict(answer, preserving_proto_field_name=True)))
            return
        for name, text in lines(answer):
            print(f"{name:<16}{text}")


def lines(answer: feedback_pb2.GetControlGroupResponse) -> list[tuple[str, str]]:
    """What is shown: (name, text)."""
    from usher.event.v1 import event_pb2

    found = []
    if answer.share:
        classes = ", ".join(
            event_pb2.EventClass.Name(one).removeprefix("EVENT_CLASS_").lower() for one in answer.classes
        )
        found.append(
            (
                "control group",
                f"{answer.share:.2%} of acts that would be held up ({classes}, up to "
                f"{answer.most_bytes / 1e6:,.0f} MB); at most {answer.at_most_an_hour} an hour",
            )
        )
    else:
        found.append(("control group", "off: nobody is drawn (feedback.yaml of the policy set)"))
    if answer.share or answer.hours:
        found.append(("this hour", f"{answer.this_hour} of {answer.at_most_an_hour}"))
        found.append(
            (
                "last 7 days",
                f"{sum(one.taken for one in answer.hours):,} let through, in {len(answer.hours)} hours",
            )
        )
    found.append(
        (
            "sample",
            f"{answer.sample_share:.2%} of allowed acts" if answer.sample_share else "off: nobody is drawn",
        )
    )
    if not answer.HasField("report_time"):
        found.append(
            ("found", "outcomes were not looked at yet; `usher scoring retrain` or its daily job does")
        )
        return found
    found.append(("as of", answer.report_time.ToJsonString()))
    one = answer.control_abusive
    share = f", {one.count} of {one.of} known ones abuse: {one.value:.1%} ({one.low:.1%} to {one.high:.1%})"
    found.append(
        (
            "found",
            f"{answer.control_group:,} let through"
            + (share if answer.HasField("control_abusive") else ", of none is it known what it was"),
        )
    )
    if answer.HasField("misses"):
        miss = answer.misses
        found.append(("looked at", f"{miss.reviewed.of:,} of {answer.sampled:,} that were drawn"))
        found.append(
            (
                "missed",
                f"about {miss.missed:,.0f} ({miss.low:,.0f} to {miss.high:,.0f}) of {miss.allowed:,} allowed",
            )
        )
    else:
        found.append(("looked at", f"0 of {answer.sampled:,} that were drawn"))
        found.append(
            ("missed", "not observed; nobody has judged sampled events yet (`usher scoring sample`)")
        )
    return found
