"""`usher up`: the whole mesh on this machine, in the foreground, until Ctrl-C.

State lies in the home, sockets in its run directory (see cli/home.py). Compliance, scoring, fraud, alerts
and the gateway start together, ingest when those it asks serve; the drain begins with the gateway and ends
with those that ingest asks.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import EXIT_OK, EXIT_UNUSABLE, UnusableError, say
from cli.home import Home
from cli.sources import command_of
from cli.supervisor import Program, StartFailedError, State, Supervisor, inherited

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

HOST = "127.0.0.1"
DEV_TENANT = "dev"
LEAVES = ("compliance", "scoring", "fraud", "alerts")
"""Services that need no other."""
WITH_DATABASE = ("ingest", "compliance", "fraud", "alerts")
"""Services that keep rows."""

WITH_POLICY = ("compliance", "scoring", "fraud", "ingest")
"""Services that read policy sets."""

_PROBE_SECONDS = 1.0


def up(home: Home, port: int, sources: Sequence[str] = ()) -> int:
    """Runs the mesh, and sources beside it; returns the exit status. Raises UnusableError where it cannot start."""
    commands = [command_of(text, home.path) for text in sources]
    home.create()
    began = time.monotonic()
    port = port or _free_port()
    http = f"http://{HOST}:{port}"
    since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with home.locked({"pid": os.getpid(), "http": http, "since": since}):
        _require_free(port)
        run = home.make_run_directory()
        try:
            home.make_entity_key()
            policy_set = _build_policy(home)
            say(f"home {home.path}, policy set {policy_set}")
            say(_checkpoints())
            return asyncio.run(_supervise(home, run, port, policy_set, began, commands))
        finally:
            home.remove_run_directory(run)


def mesh(home: Home, run: Path, port: int, policy_set: str, environment: Mapping[str, str]) -> list[Program]:
    """The programs of the mesh. `environment` is what they inherit; its databases win over the home's."""
    sockets = {name: run / f"{name}.sock" for name in (*LEAVES, "ingest")}
    programs = []
    for name, path in sockets.items():
        prefix = f"USHER_{name.upper()}_"
        env = inherited(environment)
        env[f"{prefix}SERVER_ADDRESS"] = f"unix:{path}"
        if name in WITH_DATABASE and f"{prefix}DATABASE_URL_FILE" not in env:
            env.setdefault(f"{prefix}DATABASE_URL", f"sqlite:///{home.database(name)}")
        if name in WITH_POLICY:
            env.setdefault(f"{prefix}POLICY_DIR", str(home.policy))
        if name == "fraud":
            env.setdefault("USHER_FRAUD_SNAPSHOT_DIR", str(home.path / "fraud"))
        if name == "scoring":
            env["USHER_SCORING_ALERTS_TARGET"] = f"unix:{sockets['alerts']}"
        if name == "alerts":
            env.setdefault("USHER_ALERTS_ENTITY_KEY_FILE", str(home.entity_key))
            env["USHER_ALERTS_INGEST_TARGET"] = f"unix:{sockets['ingest']}"
        if name == "compliance":
            for other in ("ingest", "scoring", "fraud", "alerts"):
                env[f"USHER_COMPLIANCE_{other.upper()}_TARGET"] = f"unix:{sockets[other]}"
            env.setdefault("USHER_COMPLIANCE_RECORDS_KEYS_DIR", str(home.path))
            env.setdefault("USHER_COMPLIANCE_RECORDS_LEDGER_COPY", str(home.path / "erasures.jsonl"))
        if name == "ingest":
            env.setdefault("USHER_INGEST_POLICY_SET", policy_set)
            if home.places.is_dir():
                env.setdefault("USHER_INGEST_PLACES_DIR", str(home.places))
            # New tenants observe; the one for trying things out on a laptop enforces.
            env.setdefault("USHER_INGEST_PIPELINE_ENFORCING_TENANTS", DEV_TENANT)
            for leaf in LEAVES:
                env[f"USHER_INGEST_{leaf.upper()}_TARGET"] = f"unix:{sockets[leaf]}"
        programs.append(
            Program(
                name=name,
                argv=(sys.executable, "-P", "-m", f"services.{name}"),
                env=env,
                log=home.logs / f"{name}.log",
                ready=grpc_probe(path),
                needs=LEAVES if name == "ingest" else (),
            )
        )
    gateway_env = inherited(environment)
    gateway_env["USHER_GATEWAY_INGEST_TARGET"] = f"unix:{sockets['ingest']}"
    gateway_env["USHER_GATEWAY_COMPLIANCE_TARGET"] = f"unix:{sockets['compliance']}"
    gateway_env["USHER_GATEWAY_ALERTS_TARGET"] = f"unix:{sockets['alerts']}"
    gateway_env["USHER_GATEWAY_FRAUD_TARGET"] = f"unix:{sockets['fraud']}"
    gateway_env["USHER_GATEWAY_SCORING_TARGET"] = f"unix:{sockets['scoring']}"
    gateway_env["USHER_GATEWAY_HOST"] = HOST
    gateway_env["USHER_GATEWAY_PORT"] = str(port)
    programs.append(
        Program(
            name="gateway",
            argv=(sys.executable, "-P", "-m", "gateway"),
            env=gateway_env,
            log=home.logs / "gateway.log",
            ready=http_probe(port),
            needs=("ingest",),
            # It answers 503 until ingest serves. Ingest itself is not eager: what waits in its inbox would be
            # decided before the services that it asks are there, and marked as degraded.
            eager=True,
        )
    )
    return programs


def grpc_probe(path: Path) -> Callable[[], Awaitable[bool]]:
    """Asks `grpc.health.v1` over a unix socket whether the process serves."""

    async def ready() -> bool:
        if not os.path.exists(path):  # noqa: ASYNC240 (a stat of a local directory)
            return False
        import grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        # A pool of its own: else a refused connection's backoff would outlive this probe.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            try:
                answer = await check(health_pb2.HealthCheckRequest(), timeout=_PROBE_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return ready


def http_probe(port: int) -> Callable[[], Awaitable[bool]]:
    """Asks `GET /healthz` on loopback whether the process serves."""

    async def answer() -> bool:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            request = f"GET /healthz HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            status_line = await reader.readline()
        finally:
            writer.close()
        return status_line.split(b" ")[1:2] == [b"200"]

    async def ready() -> bool:
        try:
            return await asyncio.wait_for(answer(), _PROBE_SECONDS)
        except (OSError, TimeoutError):
            return False

    return ready


def source_programs(
    commands: Sequence[tuple[str, ...]], home: Home, run: Path, environment: Mapping[str, str]
) -> list[Program]:
    """The programs of sources, each as a source of its own instance."""
    programs = []
    for number, command in enumerate(commands, 1):
        socket_path = run / f"source{number}.sock"
        env = inherited(environment)
        env["USHER_SOURCE_SERVER_ADDRESS"] = f"unix:{socket_path}"
        env.setdefault("USHER_SOURCE_INSTANCE", f"up-{number}")
        programs.append(
            Program(
                name=f"source{number}",
                argv=command,
                env=env,
                log=home.logs / f"source{number}.log",
                ready=grpc_probe(socket_path),
                needs=("ingest",),
                # What it has read is settled before it goes.
                grace=30.0,
            )
        )
    return programs


async def _supervise(
    home: Home,
    run: Path,
    port: int,
    policy_set: str,
    began: float,
    sources: Sequence[tuple[str, ...]],
) -> int:
    environment = dict(os.environ)
    # This process forks while gRPC runs in it; the children exec at once and want none of its fork handling.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
    programs = mesh(home, run, port, policy_set, environment)
    programs += source_programs(sources, home, run, environment)
    display = Display([program.name for program in programs])
    supervisor = Supervisor(programs, notify=display.show)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)

    def on_ready() -> None:
        display.end_live()
        lines = [f"http       http://{HOST}:{port}", f"docs       http://{HOST}:{port}/docs"]
        lines += [f"{name:<10} unix:{run}/{name}.sock" for name in ("ingest", *LEAVES)]
        lines += _key_lines(home, f"unix:{run}/ingest.sock")
        say(f"ready in {time.monotonic() - began:.1f} s; logs in {home.logs}; Ctrl-C drains and stops")
        _print((*lines, "ready"))

    try:
        with display:
            await supervisor.run(on_ready)
    except StartFailedError as error:
        if error.tail:
            say(f"--- the last of {home.logs / error.name}.log\n{error.tail.rstrip()}\n---")
        say(f"usher: {error}; everything is stopped again")
        return EXIT_UNUSABLE
    say("stopped")
    return EXIT_OK


def _key_lines(home: Home, ingest: str) -> list[str]:
    """The API key of the dev tenant, made where there is none that holds. Needed only where keys are required."""
    from cli.keys import dev_key

    try:
        key = dev_key(home.dev_key, ingest, DEV_TENANT)
    except UnusableError as error:
        say(f"usher: no API key was made: {error}")
        return []
    say(f"the key below opens tenant {DEV_TENANT}; on this machine calls pass without one, too")
    return [f"key        {key}"]


class Display:
    """Shows the processes on stderr: a table that changes while they start, on a terminal; else a line a
    change.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._rows = {name: (State.WAITING, "", time.monotonic()) for name in names}
        self._live: Live | None = None

    def __enter__(self) -> Display:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                self._table(), console=Console(stderr=True), refresh_per_second=8, redirect_stdout=False
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_live()

    def end_live(self) -> None:
        """Leaves the table as it stands; from here on a line a change."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def show(self, name: str, state: State, note: str) -> None:
        """Takes in a change of one process."""
        self._rows[name] = (state, note, time.monotonic())
        if self._live is not None:
            self._live.update(self._table())
        elif state is not State.WAITING:
            say(f"{name}: {state.value}{f' ({note})' if note else ''}")

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        styles = {State.READY: "green", State.RESTARTING: "red", State.STARTING: "yellow"}
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, (state, note, _) in self._rows.items():
            table.add_row(name, Text(state.value, style=styles.get(state, "dim")), Text(note))
        return table


def _build_policy(home: Home) -> str:
    from cli.compliance import require_packs
    from services.common.errors import InvalidArgument
    from services.common.policy import build_default, own_packs

    own = own_packs(os.environ)
    if own is not None:
        require_packs(own)
    try:
        return build_default(home.policy, own)
    except InvalidArgument as error:
        raise UnusableError(error.message) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As the gateway binds: connections of an earlier run in TIME_WAIT are no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UnusableError(
                f"cannot listen on {HOST}:{port} ({error.strerror}): "
                "choose another port with --port (0: a free one)"
            ) from None


def _checkpoints() -> str:
    """Which way SQLite's log is moved into the database: the linked library decides (WAL-reset corruption
    bug).
    """
    return (
        f"SQLite {sqlite3.sqlite_version}: synchronous=FULL, WAL; "
        "checkpoints on the writer's own connection between transactions"
    )


def _print(lines: Iterable[str]) -> None:
    try:
        print("\n".join(lines), flush=True)
    except OSError:
        # Whoever started us reads no more; the mesh itself goes on.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
