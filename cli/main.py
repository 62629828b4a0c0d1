"""The commands of `usher` and their options. What they do is imported when they do it: `--help` stays
quick.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import (
    alerts,
    compliance,
    consent,
    failed,
    feedback,
    fraud,
    front,
    inspection,
    lists,
    scoring,
    sources,
)
from cli.console import EXIT_INCOMPLETE, EXIT_OK, exit_statuses, leave
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TargetOption, TenantOption
from cli.sinks import app as sinks

app = typer.Typer(
    name="usher",
    help="The decision mesh at a streaming platform's door.\n\n"
    "Exit status: 0 all well, 1 some events were not accepted as wished, 2 the command could not run.\n\n"
    "\b\n"
    "Examples:\n"
    "  usher up\n"
    "  usher decide events.jsonl --json\n"
    "  usher import-log access.log --shift-to now | usher decide -",
    no_args_is_help=True,
    add_completion=False,
    # rich's help and tracebacks cost a quarter of a second at each start.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(consent.app)
app.add_typer(compliance.app)
app.add_typer(alerts.app)
app.add_typer(lists.app)
app.add_typer(scoring.app)
app.add_typer(failed.app)
app.add_typer(feedback.app)
app.add_typer(fraud.app)
app.add_typer(front.keys)
app.add_typer(front.app)
app.add_typer(sinks.app)
app.add_typer(sources.app)

EventsArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="JSON lines, one event a line; - is stdin.", show_default=False)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON line an event on stdout, in order of the input.")
]
RetryOption = Annotated[
    float,
    typer.Option(
        "--retry-for",
        metavar="SECONDS",
        min=0.0,
        help="How long a batch is sent again while the mesh is full or away.",
    ),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long one call may take.")
]


@app.command()
def up(
    home: HomeOption = Path(DEFAULT_HOME),
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, help="HTTP port on 127.0.0.1; 0: a free one."),
    ] = 8000,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="TEXT",
            help='A source to run beside it, as after `usher source`: "kafka --topic events". Several are allowed.',
        ),
    ] = None,
) -> None:
    """Run the whole mesh on this machine.

    Starts compliance, scoring, fraud, alerts, ingest and the gateway, waits until they serve, prints their
    addresses and `ready`, and restarts what crashes. Ctrl-C drains and stops everything; a second Ctrl-C
    hurries.

    \b
    Examples:
      usher up
      usher up --home /var/lib/usher --port 8080
      usher up --source "redis --stream viewer-events" --source "file events.jsonl --follow"
    """
    from cli.up import up as run_mesh

    with exit_statuses():
        leave(run_mesh(Home(home), port, source or ()))


@app.command()
def submit(
    file: EventsArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
    retry_for: RetryOption = 60.0,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Hand events over; they are durable when this ends and decided afterwards.

    Every line is accounted for: a table on stderr, and with --json a line an event on stdout. Sending the
    same file again is harmless: what is known already answers `duplicate`.

    \b
    Examples:
      usher submit events.jsonl
      zcat events.jsonl.gz | usher submit - --tenant acme
    """
    _send("submit", file, home, target, tenant, as_json, retry_for, timeout)


@app.command()
def decide(
    file: EventsArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
    retry_for: RetryOption = 60.0,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Have events decided, and wait for the decisions.

    Every line is accounted for: a table on stderr, and with --json a line an event on stdout: its decision,
    or {"event_id", "status", "reason", ...}. An event that was decided before answers its first decision.

    \b
    Examples:
      usher decide events.jsonl
      usher decide events.jsonl --json | jq -r .outcome | sort | uniq -c
      usher import-log access.log --shift-to now | usher decide -
    """
    _send("decide", file, home, target, tenant, as_json, retry_for, timeout)


def _send(
    door: str,
    file: str,
    home: Path,
    target: str | None,
    tenant: str,
    as_json: bool,
    retry_for: float,
    timeout: float,
) -> None:
    from cli.send import Door, SendSettings, send_file

    with exit_statuses():
        settings = SendSettings(
            door=Door(door),
            target=target or Home(home).target("ingest"),
            tenant=tenant,
            as_json=as_json,
            retry_for=retry_for,
            timeout=timeout,
        )
        leave(send_file(file, settings))


@app.command("import-log")
def import_log(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Access log in common or combined format; - is stdin.", show_default=False
        ),
    ],
    shift_to: Annotated[
        str | None,
        typer.Option(
            "--shift-to",
            metavar="TIME",
            help="Move all times by whole days so that the newest is at or before TIME: "
            "now, today, a date, or RFC 3339.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Turn a web or CDN access log into events, as JSON lines on stdout.

    Lines that cannot be read are told on stderr with their numbers, counted, and make the exit status 1.

    \b
    Examples:
      usher import-log access.log > events.jsonl
      usher import-log access.log --shift-to now | usher decide -
      zcat access.log.gz | usher import-log - --shift-to 2026-11-01T00:00:00Z
    """
    from cli.import_log import import_file

    with exit_statuses():
        complete = import_file(file, shift_to)
        leave(EXIT_OK if complete else EXIT_INCOMPLETE)


@app.command()
def simulate(
    users: Annotated[int, typer.Option("--users", metavar="N", min=1, max=1_000_000, help="Viewers.")] = 200,
    days: Annotated[float, typer.Option("--days", metavar="N", help="Simulated time.")] = 1.0,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="N",
            help="Ordinary events a second of simulated time, on average; else the viewers' own rhythm.",
            show_default=False,
        ),
    ] = None,
    scenarios: Annotated[
        str,
        typer.Option(
            "--scenarios",
            metavar="NAMES",
            help="all, none, or some of takeover, credential_stuffing, bulk_export, sharing, scraping, ring, "
            "card_testing, travel, vpn, new_phone, binge, away, hotel, consent_missing, consent_withdrawn, minors, and "
            "beyond all of them flight, handover; with commas between them.",
        ),
    ] = "all",
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Another seed, other traffic.")] = 1,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="A date (UTC) or an RFC 3339 time; else so that it ends with yesterday.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE", help="Where to write what each event truly is.", show_default=False
        ),
    ] = None,
) -> None:
    """Make labelled traffic of invented viewers, as JSON lines on stdout.

    The same options, --start among them, give the same bytes. Labels go into a file of their own, so that no
    answer can lean on them.

    \b
    Examples:
      usher simulate --users 500 --days 2 --seed 7 > events.jsonl
      usher simulate --scenarios takeover,vpn --labels labels.jsonl | usher backfill -
      usher simulate --start 2026-11-16 --scenarios none > ordinary.jsonl
    """
    from cli.simulate import simulate as run_simulation

    with exit_statuses():
        leave(
            run_simulation(
                seed=seed, users=users, days=days, rate=rate, scenarios=scenarios, start=start, labels=labels
            )
        )


@app.command()
def load(
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "load",
    rate: Annotated[
        list[float] | None,
        typer.Option(
            "--rate", metavar="N", help="Events a second; several make several steps. [default: 200]"
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="SECONDS", min=0.1, max=86_400, help="Time of each step.")
    ] = 10.0,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, max=2_000, help="Events a call.")] = 1,
    in_flight: Annotated[
        int, typer.Option("--in-flight", metavar="N", min=1, max=10_000, help="Calls in flight at most.")
    ] = 64,
    users: Annotated[
        int, typer.Option("--users", metavar="N", min=1, max=100_000, help="Simulated viewers.")
    ] = 2_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the traffic.")] = 1,
    timeout: TimeoutOption = 10.0,
    resolve_for: Annotated[
        float,
        typer.Option(
            "--resolve-for",
            metavar="SECONDS",
            min=0.0,
            help="How long the endings of events without an answer are looked for.",
        ),
    ] = 30.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON line a step, and one of the books, on stdout.")
    ] = False,
) -> None:
    """Load a mesh of this machine by a fixed timetable, and check its books.

    Latencies count from when a call was due, not from when it left. At the end the books of the mesh must have
    grown by exactly what was sent: exit status 1 when something is missing.

    \b
    Examples:
      usher load --rate 200 --seconds 30
      usher load --rate 1000 --rate 2000 --rate 5000 --batch 256 --json
    """
    from cli.load import LoadSettings
    from cli.load import load as run_load

    with exit_statuses():
        leave(
            run_load(
                LoadSettings(
                    target=target or Home(home).target("ingest"),
                    tenant=tenant,
                    rates=rate or [200.0],
                    seconds=seconds,
                    batch=batch,
                    in_flight=in_flight,
                    users=users,
                    seed=seed,
                    timeout=timeout,
                    resolve_for=resolve_for,
                    as_json=as_json,
                )
            )
        )


class Reader(StrEnum):
    """Whom a decision is told."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    REGULATOR = "regulator"


@app.command()
def why(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", show_default=False)],
    reader: Annotated[
        list[Reader] | None,
        typer.Option("--for", help="For whom; several are allowed. [default: all three]"),
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, by reader.")] = False,
) -> None:
    """Tell the decision on an event for a viewer, an analyst and a regulator.

    The viewer's text holds no scores and nothing of others and can be passed on; the analyst's and the
    regulator's are for them alone. Exit status 1 where there is no decision.

    \b
    Examples:
      usher why evt_20260116_001
      usher why evt_20260116_001 --for viewer
      usher why evt_20260116_001 --for regulator --json
    """
    from cli.why import why as tell

    with exit_statuses():
        readers = list(dict.fromkeys(one.value for one in reader or []))
        leave(
            tell(
                event_id,
                target=target or Home(home).target("ingest"),
                tenant=tenant,
                readers=readers,
                as_json=as_json,
            )
        )


@app.command()
def mode(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="observe|enforce", help="Without it: show.", show_default=False),
    ] = None,
    event_class: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Only this class: playback, logout, login, export, payment, credential or rights; "
            "several are allowed. [default: all]",
        ),
    ] = None,
    actor: Annotated[
        str,
        typer.Option(
            "--actor", metavar="NAME", help="Who sets it, for the audit; else this user.", show_default=False
        ),
    ] = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="The modes as one JSON object on stdout.")] = False,
) -> None:
    """Show or set whether a tenant's answers bind.

    `usher mode observe` is the kill switch: from then on, everywhere within 5 seconds, answers are ALLOW and
    only tell what enforcement would say.

    \b
    Examples:
      usher mode
      usher mode observe
      usher mode enforce --class payment --class export --tenant acme
    """
    from cli.mode import mode as run_mode

    with exit_statuses():
        leave(
            run_mode(
                wanted,
                event_class or [],
                target=target or Home(home).target("ingest"),
                tenant=tenant,
                actor=actor,
                as_json=as_json,
            )
        )


@app.command()
def backfill(
    file: EventsArgument,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    import_id: Annotated[
        str,
        typer.Option(
            "--import-id",
            metavar="ID",
            help="Name of the import; else backfill- and a digest of the file.",
            show_default=False,
        ),
    ] = "",
    as_json: JsonOption = False,
    retry_for: RetryOption = 60.0,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Have events of the past decided, as an import.

    Every event is sent as `origin: import`, whatever it says, so that none is too old; ages are measured within
    the import. Running it again over the same file resumes: what is decided answers as `duplicate`.

    \b
    Examples:
      usher backfill last-year.jsonl
      zcat archive.jsonl.gz | usher backfill - --tenant acme --json > decisions.jsonl
    """
    from cli.backfill import backfill as run_backfill
    from cli.send import Door, SendSettings

    with exit_statuses():
        settings = SendSettings(
            door=Door.DECIDE,
            target=target or Home(home).target("ingest"),
            tenant=tenant,
            as_json=as_json,
            retry_for=retry_for,
            timeout=timeout,
        )
        leave(run_backfill(file, import_id, settings))


@app.command()
def geo(
    address: Annotated[str, typer.Argument(metavar="IP", help="IPv4 or IPv6 address.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            envvar="USHER_INGEST_PLACES_DIR",
            metavar="DIR",
            help="Folder of places data instead of what is shipped.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="ADDRESS", help="Fraud's gRPC address instead of the mesh of --home."
        ),
    ] = None,
    tenant: TenantOption = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show what is known of an address: country, city, network, VPN, Tor, hosting; what is seen there.

    Reads the data that ingest reads, and says how old they are. Where a mesh runs it is asked what it has learnt: class,
    accounts, devices, reputation with reasons and their age. Needs no running mesh.
    IP Geolocation by DB-IP, https://db-ip.com

    \b
    Examples:
      usher geo 92.230.10.20
      usher geo 2001:db8::1 --json
    """
    from cli.geo import learnt_from, show

    with exit_statuses():
        show(address, data, as_json, learnt_from(home, target, tenant))
        leave(EXIT_OK)


inspection.register(app)


def main() -> None:
    """Entry point of the `usher` command."""
    app()


if __name__ == "__main__":
    main()
