"""`usher source kafka|redis|file|stdin`: brings events from elsewhere to ingest, as a process of its own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cli.console import UnusableError, exit_statuses
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TargetOption, TenantOption

KINDS = ("kafka", "redis", "file", "stdin")

app = typer.Typer(
    name="source",
    help="Bring events from Kafka, a Redis stream, a file or stdin.\n\n"
    "Each record is one event. It is settled where it comes from (offset committed, entry acknowledged, position "
    "written) only after ingest has it durably: killed at any moment, a source loses nothing and begins where it left "
    "off. What is no event is kept as a failed event that names its place (`usher failed list`). `usher sources` shows "
    "how far behind each is. Runs until Ctrl-C or SIGTERM; a file that is not followed, and stdin, until their end.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Schema(StrEnum):
    """What records are."""

    JSON = "json"
    PROTOBUF = "protobuf"


class Start(StrEnum):
    """Where a new group begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


NameOption = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name in `usher sources`, [a-z0-9._-]. [default: its kind]",
        show_default=False,
    ),
]
InstanceOption = Annotated[
    str,
    typer.Option(
        "--instance",
        metavar="NAME",
        help="Which of several processes of that name; two that run at once need two. [default: the host's name]",
        show_default=False,
    ),
]
SchemaOption = Annotated[
    Schema, typer.Option("--schema", help="What records are whose header `content-type` does not say it.")
]
StartOption = Annotated[Start, typer.Option("--start", help="Where a group begins that is new.")]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="File with an API key that may submit (`usher keys create NAME --right submit`).",
        show_default=False,
    ),
]
TlsOption = Annotated[
    Path | None,
    typer.Option(
        "--tls",
        metavar="DIR",
        help="Folder with tls.crt, tls.key and ca.crt, for an ingest beyond this machine.",
        show_default=False,
    ),
]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="HOST:PORT",
        help="Where /metrics and /healthz are served, on loopback.",
        show_default=False,
    ),
]
BeyondOption = Annotated[
    bool,
    typer.Option(
        "--metrics-beyond-loopback", help="Lets --metrics be another address, for a scraper in the cluster."
    ),
]
PlaintextOption = Annotated[
    bool, typer.Option("--plaintext", help="Allows a server beyond this machine without TLS.")
]


@app.command()
def kafka(
    topic: Annotated[
        list[str],
        typer.Option("--topic", metavar="NAME", help="Topic; several are allowed.", show_default=False),
    ],
    servers: Annotated[
        str, typer.Option("--servers", metavar="HOST:PORT,...", help="Bootstrap servers.")
    ] = "127.0.0.1:9092",
    group: Annotated[str, typer.Option("--group", metavar="NAME", help="Consumer group.")] = "usher",
    classic: Annotated[
        bool,
        typer.Option("--classic", help="Use the group protocol of brokers before 4.0, not that of KIP-848."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="librdkafka properties, a `name=value` a line: security.protocol, sasl.*, ssl.*, ...",
            show_default=False,
        ),
    ] = None,
    start: StartOption = Start.EARLIEST,
    schema: SchemaOption = Schema.JSON,
    plaintext: PlaintextOption = False,
    name: NameOption = "",
    instance: InstanceOption = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Read Kafka topics as a member of a consumer group.

    Offsets are committed at most a second after every record before them is durably accepted. Start more processes, with
    an --instance each, to share the partitions; records of one partition keep their order.

    \b
    Examples:
      usher source kafka --topic viewer-events
      usher source kafka --servers kafka-1:9093,kafka-2:9093 --config kafka.properties --topic plays --topic logins
      usher source kafka --topic viewer-events --schema protobuf --group usher-eu --tenant acme --key-file acme.key
    """
    settings = {
        "KAFKA_BOOTSTRAP": servers,
        "KAFKA_TOPICS": ",".join(topic),
        "KAFKA_GROUP": group,
        "KAFKA_GROUP_PROTOCOL": "classic" if classic else "consumer",
        "KAFKA_START": start.value,
        "KAFKA_PROPERTIES_FILE": _path(config),
        "KAFKA_PLAINTEXT": "true" if plaintext else "",
    }
    _run(
        "kafka",
        settings,
        schema,
        name,
        instance,
        home,
        target,
        tenant,
        key_file,
        tls,
        metrics,
        metrics_beyond_loopback,
    )


@app.command()
def redis(
    stream: Annotated[str, typer.Option("--stream", metavar="KEY", help="Stream.")] = "usher:events",
    url_file: Annotated[
        Path | None,
        typer.Option(
            "--url-file",
            metavar="FILE",
            help="File with the URL, rediss://user:password@host:port/0. [default: Redis on 127.0.0.1:6379]",
            show_default=False,
        ),
    ] = None,
    group: Annotated[str, typer.Option("--group", metavar="NAME", help="Consumer group.")] = "usher",
    field: Annotated[
        str, typer.Option("--field", metavar="NAME", help="Field of an entry that holds the event.")
    ] = "event",
    claim_after: Annotated[
        float,
        typer.Option(
            "--claim-after",
            metavar="SECONDS",
            min=1.0,
            help="Entries that another consumer holds for longer are taken over.",
        ),
    ] = 60.0,
    start: StartOption = Start.EARLIEST,
    schema: SchemaOption = Schema.JSON,
    plaintext: PlaintextOption = False,
    name: NameOption = "",
    instance: InstanceOption = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Read a Redis stream as a consumer of a group.

    Entries are acknowledged after they are durably accepted. An entry holds the event in one field, or is the event: its
    fields are then the event's, as texts. Needs Redis 7 or Valkey.

    \b
    Examples:
      usher source redis --stream viewer-events
      redis-cli XADD viewer-events '*' event '{"event_id":"evt_1",...}'
      usher source redis --stream viewer-events --url-file redis-url --instance second
    """
    settings = {
        "REDIS_STREAM": stream,
        "REDIS_URL_FILE": _path(url_file),
        "REDIS_GROUP": group,
        "REDIS_FIELD": field,
        "REDIS_CLAIM_SECONDS": f"{claim_after:g}",
        "REDIS_START": start.value,
        "REDIS_PLAINTEXT": "true" if plaintext else "",
    }
    _run(
        "redis",
        settings,
        schema,
        name,
        instance,
        home,
        target,
        tenant,
        key_file,
        tls,
        metrics,
        metrics_beyond_loopback,
    )


@app.command()
def file(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON lines, one event a line.", show_default=False)
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more at its end, and go on when it is rotated.")
    ] = False,
    position: Annotated[
        Path | None,
        typer.Option(
            "--position",
            metavar="FILE",
            help="Where it is noted how far it was read. [default: beside it, FILE.position]",
            show_default=False,
        ),
    ] = None,
    name: NameOption = "",
    instance: InstanceOption = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Read a file of JSON lines, from where it was left.

    `usher submit` sends a file as well, and accounts for each line on stdout; this one keeps a position and can follow.

    \b
    Examples:
      usher source file events.jsonl
      usher source file /var/log/player/events.jsonl --follow --position /var/lib/usher/player.position
    """
    settings = {
        "FILE_PATH": str(path.absolute()),
        "FILE_FOLLOW": "true" if follow else "",
        "FILE_POSITION": _path(position),
    }
    _run(
        "file",
        settings,
        Schema.JSON,
        name,
        instance,
        home,
        target,
        tenant,
        key_file,
        tls,
        metrics,
        metrics_beyond_loopback,
    )


@app.command()
def stdin(
    name: NameOption = "",
    instance: InstanceOption = "",
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Read JSON lines from stdin to its end.

    \b
    Examples:
      usher source stdin < events.jsonl
      tail -F events.jsonl | usher source stdin --name player
      kcat -C -b kafka:9092 -t events -e | usher source stdin
    """
    _run(
        "stdin",
        {},
        Schema.JSON,
        name,
        instance,
        home,
        target,
        tenant,
        key_file,
        tls,
        metrics,
        metrics_beyond_loopback,
    )


def command_of(text: str, home: Path) -> tuple[str, ...]:
    """The command that runs a source as `usher up --source` describes it: "kafka --topic events".

    Raises UnusableError for what is none.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UnusableError(f"--source {text!r}: {error}") from None
    if not words or words[0] not in KINDS or words[0] == "stdin":
        raise UnusableError(
            f'--source {text!r}: write what follows `usher source`, such as "kafka --topic events" (not stdin)'
        )
    if words[0] == "file" and not {"--follow", "-f"} & set(words):
        raise UnusableError(f"--source {text!r}: a file beside the mesh is followed, so add --follow")
    return (sys.executable, "-P", "-m", "cli", "source", *words, "--home", str(home))


def _path(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())


def _run(
    kind: str,
    settings: Mapping[str, str],
    schema: Schema,
    name: str,
    instance: str,
    home: Path,
    target: str | None,
    tenant: str,
    key_file: Path | None,
    tls: Path | None,
    metrics: str | None,
    metrics_beyond_loopback: bool,
) -> NoReturn:
    """Becomes the source's process. What was not chosen here may be set in the environment (USHER_SOURCE_*)."""
    with exit_statuses():
        chosen = {
            "KIND": kind,
            "INGEST_TARGET": target or Home(home).target("ingest"),
            "TENANT": tenant,
            "SCHEMA": schema.value,
            "NAME": name,
            "INSTANCE": instance,
            "API_KEY_FILE": _path(key_file),
            **settings,
        }
        if tls is not None:
            files = {"CERTIFICATE": "tls.crt", "KEY": "tls.key", "CA": "ca.crt"}
            chosen |= {f"INGEST_TLS_{part}": str(tls.absolute() / file) for part, file in files.items()}
        if metrics is not None:
            chosen |= {"SERVER_METRICS_ADDRESS": metrics}
            chosen |= {"SERVER_METRICS_BEYOND_LOOPBACK": "true" if metrics_beyond_loopback else ""}
            # Nothing is called there; health and metrics come with a server.
            chosen.setdefault("SERVER_ADDRESS", os.environ.get("USHER_SOURCE_SERVER_ADDRESS", "127.0.0.1:0"))
        from cli.supervisor import inherited

        env = inherited(os.environ) | {f"USHER_SOURCE_{key}": value for key, value in chosen.items() if value}
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, "-P", "-m", "services.ingest.sources"], env)
    raise AssertionError("exec does not return")
