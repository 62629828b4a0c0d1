"""`usher alerts`: its commands and options. What they do is in alerting.py and imported when they do it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import UnusableError, exit_statuses, leave
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TenantOption

app = typer.Typer(
    name="alerts",
    help="Alerts and incidents: what people must look at, and what became of it.\n\n"
    "\b\n"
    "Examples:\n"
    "  usher alerts list --minimum-severity high\n"
    "  usher alerts queue\n"
    "  usher alerts ack alert_0123\n"
    "  usher alerts route --test --kind decision.block --severity critical",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="ADDRESS", help="Alerts' gRPC address instead of the mesh of --home."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]
ActorOption = Annotated[
    str, typer.Option("--actor", metavar="NAME", help="Who does it; else the name of this user.")
]
SeverityOption = Annotated[
    str, typer.Option("--minimum-severity", metavar="NAME", help="low, medium, high or critical.")
]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ALERT_ID...", help="Alerts; or --search.", show_default=False)
]
SearchOption = Annotated[
    str,
    typer.Option(
        "--search",
        metavar="KIND=VALUE",
        help="All alerts of a user, device, address or payment.",
        show_default=False,
    ),
]
PreviewOption = Annotated[bool, typer.Option("--preview", help="Say what would change, and change nothing.")]
NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="What was found.")]


def _target(home: Path, target: str | None) -> str:
    return target or Home(home).target("alerts")


@app.command("list")
def list_(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    minimum_severity: SeverityOption = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", help="open, acknowledged, resolved or false_alarm; several.", show_default=False
        ),
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="Kind of alert.", show_default=False)] = "",
    assignee: Annotated[str, typer.Option("--assignee", help="Who looks after it.", show_default=False)] = "",
    search: SearchOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List alerts, last seen first.

    \b
    Examples:
      usher alerts list --state open --minimum-severity high
      usher alerts list --search device=tv_lg_abc123 --json
    """
    from cli.alerting import list_alerts, selection

    with exit_statuses():
        which = selection(tenant, minimum_severity, state or [], kind, assignee, search)
        leave(list_alerts(_target(home, target), which, limit, as_json))


@app.command()
def queue(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    capacity: Annotated[int, typer.Option("--capacity", min=0, max=1_000, help="0: as configured.")] = 0,
    assignee: Annotated[
        str, typer.Option("--assignee", help="What is this person's, or nobody's.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what to work on today: the greatest expected loss first, and how far the day's capacity reaches.

    \b
    Examples:
      usher alerts queue --capacity 20
    """
    from cli.alerting import show_queue

    with exit_statuses():
        leave(show_queue(_target(home, target), tenant, capacity, assignee, as_json))


@app.command()
def show(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT_ID", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Show one alert, and what was told of it, to whom, with what answer.

    \b
    Examples:
      usher alerts show alert_0123456789abcdef0123456789abcdef
    """
    from cli.alerting import show_alert

    with exit_statuses():
        leave(show_alert(_target(home, target), tenant, alert_id, as_json))


@app.command()
def ack(
    alert_ids: IdsArgument = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    search: SearchOption = "",
    note: NoteOption = "",
    actor: ActorOption = "",
    preview: PreviewOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take note of alerts: they escalate no further.

    \b
    Examples:
      usher alerts ack alert_0123 alert_4567
      usher alerts ack --search address=203.0.113.7 --preview
    """
    from cli.alerting import act

    with exit_statuses():
        leave(
            act(_target(home, target), tenant, "ack", alert_ids or [], search, actor, note, preview, as_json)
        )


@app.command()
def assign(
    assignee: Annotated[str, typer.Argument(metavar="PERSON", help="- is nobody.", show_default=False)],
    alert_ids: IdsArgument = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    search: SearchOption = "",
    actor: ActorOption = "",
    preview: PreviewOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give alerts to somebody.

    \b
    Examples:
      usher alerts assign ann alert_0123
    """
    from cli.alerting import act

    with exit_statuses():
        person = "" if assignee == "-" else assignee
        done = act(
            _target(home, target),
            *(tenant, "assign", alert_ids or [], search, actor, "", preview, as_json),
            assignee=person,
        )
        leave(done)


@app.command()
def resolve(
    alert_ids: IdsArgument = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    search: SearchOption = "",
    false_alarm: Annotated[bool, typer.Option("--false-alarm", help="There was nothing.")] = False,
    label: Annotated[
        bool, typer.Option("--label/--no-label", help="Write labels for the events: fraud, or false alarm.")
    ] = True,
    note: NoteOption = "",
    actor: ActorOption = "",
    preview: PreviewOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that alerts are dealt with, or were false alarms. The labels that follow reach training and fraud.

    \b
    Examples:
      usher alerts resolve alert_0123 --note "account closed"
      usher alerts resolve --search device=d7 --false-alarm --preview
    """
    from cli.alerting import act

    with exit_statuses():
        what = "false-alarm" if false_alarm else "resolve"
        done = act(
            _target(home, target),
            *(tenant, what, alert_ids or [], search, actor, note, preview, as_json),
            label=label,
        )
        leave(done)


@app.command()
def snooze(
    entity: Annotated[
        str, typer.Argument(metavar="[KIND=ENTITY]", help="user=u1, service=scoring; none: list.")
    ] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=720.0, help="How long.")] = 4.0,
    kind: Annotated[str, typer.Option("--kind", help="Only this kind of alert.", show_default=False)] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.", show_default=False)] = "",
    lift: Annotated[
        str, typer.Option("--lift", metavar="SNOOZE_ID", help="End this one now.", show_default=False)
    ] = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Keep one entity quiet for a time; what still waits then is told. Without arguments: list what is quiet.

    \b
    Examples:
      usher alerts snooze user=user_42 --hours 24 --reason "customer is travelling"
      usher alerts snooze
      usher alerts snooze --lift snooze_0123
    """
    from cli.alerting import snooze as run_snooze

    with exit_statuses():
        leave(run_snooze(_target(home, target), tenant, entity, hours, kind, reason, lift, actor, as_json))


@app.command()
def watch(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    minimum_severity: SeverityOption = "",
    after: Annotated[int, typer.Option("--after", help="Only changes after this place; -1: new ones.")] = -1,
    as_json: JsonOption = False,
) -> None:
    """Show alerts as they open and change, until Ctrl-C.

    \b
    Examples:
      usher alerts watch --minimum-severity high
    """
    from cli.alerting import watch as run_watch

    with exit_statuses():
        leave(run_watch(_target(home, target), tenant, minimum_severity, after, as_json))


@app.command()
def route(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    test: Annotated[bool, typer.Option("--test", help="Say who would be told; nothing is sent.")] = False,
    kind: Annotated[str, typer.Option("--kind", help="Kind of alert.")] = "decision.block",
    severity: Annotated[str, typer.Option("--severity", help="low, medium, high or critical.")] = "high",
    segment: Annotated[
        str, typer.Option("--segment", help="new, standard, power, ...", show_default=False)
    ] = "",
    regulation: Annotated[list[str] | None, typer.Option("--regulation", show_default=False)] = None,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="RFC 3339; else now.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say who would be told of an alert, when, and by which route. Nothing is sent.

    \b
    Examples:
      usher alerts route --test --kind decision.block --severity critical --segment new
      usher alerts route --test --at 2026-12-25T03:00:00Z
    """
    from cli.alerting import test_route

    with exit_statuses():
        if not test:
            raise UnusableError("say --test: routes are changed in the alerting rules (docs/alerting.md)")
        leave(
            test_route(_target(home, target), tenant, kind, severity, segment, regulation or [], at, as_json)
        )


@app.command()
def deliveries(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    channel: Annotated[str, typer.Option("--channel", show_default=False)] = "",
    state: Annotated[
        str, typer.Option("--state", help="pending, delivered, dead or cancelled.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what was sent, waits or is dead, with the other end's answer.

    \b
    Examples:
      usher alerts deliveries --state dead
    """
    from cli.alerting import list_deliveries

    with exit_statuses():
        leave(list_deliveries(_target(home, target), tenant, channel, state, limit, as_json))


@app.command()
def replay(
    delivery_ids: Annotated[
        list[int] | None, typer.Argument(metavar="DELIVERY_ID...", show_default=False)
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    channel: Annotated[str, typer.Option("--channel", help="All dead ones of it.", show_default=False)] = "",
    actor: ActorOption = "",
) -> None:
    """Send dead letters again, under their old ids: these, or all dead ones.

    \b
    Examples:
      usher alerts replay --channel soc
      usher alerts replay 4711 4712
    """
    from cli.alerting import replay as run_replay

    with exit_statuses():
        leave(run_replay(_target(home, target), tenant, delivery_ids or [], channel, actor))


@app.command()
def incidents(
    number: Annotated[str, typer.Argument(metavar="[INC-2026-00042]", help="One of them; none: list.")] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    state: Annotated[
        str,
        typer.Option(
            "--state",
            help="Move it: open, acknowledged, investigating, resolved, false_alarm.",
            show_default=False,
        ),
    ] = "",
    assign_to: Annotated[str, typer.Option("--assign", metavar="PERSON", show_default=False)] = "",
    note: NoteOption = "",
    link: Annotated[str, typer.Option("--link", metavar="URL", show_default=False)] = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """List incidents, show one with its timeline, or work on it.

    Resolving it, as `resolved` or `false_alarm`, writes a label for each of its decisions.

    \b
    Examples:
      usher alerts incidents
      usher alerts incidents INC-2026-00042
      usher alerts incidents INC-2026-00042 --state investigating --assign ann --note "calls the viewer"
    """
    from cli.alerting import incident, list_incidents

    with exit_statuses():
        where = _target(home, target)
        if not number:
            leave(list_incidents(where, tenant, as_json))
        leave(incident(where, tenant, number, state, assign_to, note, link, actor, as_json))
