"""`usher sink kafka|redis|webhook`: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import UnusableError, exit_statuses, leave, say
from cli.home import DEFAULT_HOME
from cli.options import HomeOption, TargetOption, TenantOption
from cli.sinks.encoding import Encoding
from cli.sinks.options import Common, read_secret

app = typer.Typer(
    name="sink",
    help="Pass decisions on to a Kafka topic, a Redis stream or a signed webhook.\n\n"
    "Runs until Ctrl-C or SIGTERM and begins, each time, where it last left off: at least once, each under the same id. "
    "What is not taken is tried again for as long as it takes. `usher subscribers` shows how far behind it is.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name under which ingest notes how far it has come, [a-z0-9._-]; one process a name. [default: its kind]",
        show_default=False,
    ),
]
EncodingOption = Annotated[Encoding, typer.Option("--encoding", help="How a decision is written.")]
FromNowOption = Annotated[
    bool,
    typer.Option(
        "--from-now", help="A new name begins with new decisions instead of the first that is kept."
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="File with an API key that may read (`usher keys create NAME --right read`).",
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
        "--metrics", metavar="HOST:PORT", help="Where /metrics is served, on loopback.", show_default=False
    ),
]
BeyondOption = Annotated[
    bool,
    typer.Option(
        "--metrics-beyond-loopback", help="Lets --metrics be another address, for a scraper in the cluster."
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.1, max=300.0, help="How long the sink may take to confirm."
    ),
]


@app.command()
def kafka(
    topic: Annotated[str, typer.Option("--topic", metavar="NAME", help="Topic.")] = "usher.decisions",
    servers: Annotated[
        str | None,
        typer.Option("--servers", metavar="HOST:PORT,...", help="Bootstrap servers.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="librdkafka properties, a `name=value` a line: security.protocol, sasl.*, ssl.*, ...",
            show_default=False,
        ),
    ] = None,
    timeout: TimeoutOption = 30.0,
    name: NameOption = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    encoding: EncodingOption = Encoding.JSON,
    from_now: FromNowOption = False,
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Produce each decision to a Kafka topic, keyed by event id.

    The producer is idempotent and waits for all in-sync replicas (acks=all); whatever --config says, that stays.

    \b
    Examples:
      usher sink kafka --servers 127.0.0.1:9092 --topic usher.decisions
      usher sink kafka --config kafka.properties --encoding protobuf --tenant acme --name acme-lake
    """

    async def opened(common: Common) -> Any:
        from cli.sinks.kafka import KafkaSink

        properties = {} if config is None else properties_of(config)
        if servers is not None:
            properties["bootstrap.servers"] = servers
        if not properties.get("bootstrap.servers"):
            raise UnusableError("name the cluster: --servers HOST:PORT, or bootstrap.servers in --config")
        from confluent_kafka import KafkaException

        try:
            return KafkaSink(properties, topic, encoding=common.encoding, timeout=timeout)
        except KafkaException as error:
            raise UnusableError(f"Kafka: {error.args[0].str()}") from None

    from cli.sinks.process import run

    with exit_statuses():
        leave(
            run(
                Common(
                    "kafka", name, home, target, tenant, encoding, from_now, key_file, tls, metrics,
                    metrics_beyond_loopback,
                ),
                opened,
            )
        )  # fmt: skip


@app.command()
def redis(
    url: Annotated[
        str,
        typer.Option("--url", metavar="URL", envvar="USHER_SINK_REDIS_URL", help="Without a password in it."),
    ] = "redis://127.0.0.1:6379/0",
    url_file: Annotated[
        Path | None,
        typer.Option(
            "--url-file",
            metavar="FILE",
            help="File with the URL, for one with a password.",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[str, typer.Option("--stream", metavar="KEY", help="Stream.")] = "usher:decisions",
    max_length: Annotated[
        int,
        typer.Option(
            "--max-length",
            metavar="N",
            min=0,
            help="Entries that the stream keeps, about; older ones are trimmed, read or not. 0: all of them.",
        ),
    ] = 1_000_000,
    replicas: Annotated[
        int, typer.Option("--replicas", metavar="N", min=0, help="Replicas that must have a record too.")
    ] = 0,
    timeout: TimeoutOption = 10.0,
    name: NameOption = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    encoding: EncodingOption = Encoding.JSON,
    from_now: FromNowOption = False,
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Append each decision to a Redis stream.

    Where the server keeps an append-only file, a decision counts as taken once it is on disk there (WAITAOF, Redis 7.2).

    \b
    Examples:
      usher sink redis --stream usher:decisions --max-length 100000
      usher sink redis --url-file redis-url --replicas 1 --tenant acme
    """

    async def opened(common: Common) -> Any:
        from redis.exceptions import RedisError

        from cli.sinks.redis_stream import RedisSink

        address = url if url_file is None else read_secret(url_file)
        try:
            sink = RedisSink(
                address,
                stream,
                encoding=common.encoding,
                max_length=max_length,
                replicas=replicas,
                timeout=timeout,
            )
        except ValueError as error:
            raise UnusableError(f"--url: {error}") from None
        try:
            if not await sink.check():
                say(
                    "the server keeps no append-only file (or is older than 7.2): what it loses is not sent again"
                )
        except (RedisError, OSError):
            say("Redis does not answer yet")
        return sink

    from cli.sinks.process import run

    with exit_statuses():
        leave(
            run(
                Common(
                    "redis", name, home, target, tenant, encoding, from_now, key_file, tls, metrics,
                    metrics_beyond_loopback,
                ),
                opened,
            )
        )  # fmt: skip


@app.command()
def webhook(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="What is called.", show_default=False)],
    secret_file: Annotated[
        list[Path],
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="File with the secret, whsec_...; twice while it is changed.",
            show_default=False,
        ),
    ],
    per_call: Annotated[
        int, typer.Option("--per-call", metavar="N", min=1, max=256, help="Decisions a call at most.")
    ] = 1,
    in_flight: Annotated[
        int, typer.Option("--in-flight", metavar="N", min=1, max=64, help="Calls at once; 1 keeps the order.")
    ] = 8,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-network",
            metavar="CIDR",
            help="A network of one's own that may be called; only with one may the URL be http://.",
            show_default=False,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file", metavar="FILE", help="PEM of who signed its certificate.", show_default=False
        ),
    ] = None,
    timeout: TimeoutOption = 10.0,
    name: NameOption = None,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    encoding: EncodingOption = Encoding.JSON,
    from_now: FromNowOption = False,
    key_file: KeyFileOption = None,
    tls: TlsOption = None,
    metrics: MetricsOption = None,
    metrics_beyond_loopback: BeyondOption = False,
) -> None:
    """Call a webhook with the decisions, signed (Standard Webhooks).

    \b
    Examples:
      usher sink webhook --url https://hooks.example.com/usher --secret-file webhook-secret
      usher sink webhook --url http://10.1.2.3/usher --allow-network 10.1.2.0/24 --secret-file s --per-call 100
    """

    async def opened(common: Common) -> Any:
        import ipaddress
        import ssl

        from cli.sinks.webhook import WebhookSink
        from services.common.outbound import AddressRefusedError, GuardedSender, checked_url
        from services.common.webhooks import key_of

        networks = allow_network or []
        try:
            keys = [key_of(read_secret(path)) for path in secret_file]
            context = None if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
            sender = GuardedSender(allowed=networks, tls=context, connections_per_host=in_flight)
            checked_url(url, [ipaddress.ip_network(one) for one in networks])
        except (AddressRefusedError, ValueError, OSError) as error:
            raise UnusableError(str(error)) from None
        return WebhookSink(
            sender,
            url,
            keys,
            encoding=common.encoding,
            per_call=per_call,
            in_flight=in_flight,
            timeout=timeout,
        )

    from cli.sinks.process import run

    with exit_statuses():
        leave(
            run(
                Common(
                    "webhook", name, home, target, tenant, encoding, from_now, key_file, tls, metrics,
                    metrics_beyond_loopback,
                ),
                opened,
            )
        )  # fmt: skip


def properties_of(path: Path) -> dict[str, Any]:
    """Reads `name=value` lines; # begins a comment. Raises UnusableError naming the line."""
    found: dict[str, Any] = {}
    for number, line in enumerate(read_secret(path).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise UnusableError(f"{path}, line {number}: write name=value")
        found[name.strip()] = value.strip()
    return found
