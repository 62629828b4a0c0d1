"""The process of a sink: channel, metrics, signals, and the runner between them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from cli.console import EXIT_OK, UnusableError, say
from cli.sinks.options import Common
from cli.sinks.runner import Runner
from services.common.client import ClientSettings, connect
from services.common.config import ConfigError
from services.common.server import MetricsServer
from services.common.telemetry import TelemetrySettings, start_telemetry
from services.common.transport import TlsSettings


def run(common: Common, opened: Callable[[Common], Awaitable[Any]]) -> int:
    """Runs a sink until a signal; returns the exit status. Raises UnusableError where it cannot run."""
    try:
        return asyncio.run(_run(common, opened))
    except ConfigError as error:
        raise UnusableError("; ".join(error.problems)) from None


async def _run(common: Common, opened: Callable[[Common], Awaitable[Any]]) -> int:
    telemetry = start_telemetry("sink", TelemetrySettings())
    tls = common.tls and TlsSettings(common.tls / "tls.crt", common.tls / "tls.key", common.tls / "ca.crt")
    try:
        settings = ClientSettings(target=common.target, timeout=10.0, tls=tls or None)
    except ValueError as error:
        raise UnusableError(str(error)) from None
    sink = await opened(common)
    acknowledge = "/usher.ingest.v1.FlowService/AckDecisions"
    channel = connect(settings, telemetry=telemetry, idempotent=[acknowledge])
    runner = Runner(
        channel,
        sink,
        tenant=common.tenant,
        subscriber=common.name,
        encoding=common.encoding,
        from_now=common.from_now,
        metadata=[("x-api-key", common.key)] if common.key else [],
        telemetry=telemetry,
        tell=say,
    )
    page = None
    try:
        if common.metrics is not None:
            try:
                page = MetricsServer(
                    common.metrics,
                    telemetry,
                    beyond_loopback=common.metrics_beyond_loopback,
                    serving=lambda: not runner.stopping,
                )
            except ValueError as error:
                raise UnusableError(f"--metrics: {error}") from None
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(runner.run())

        def ended() -> None:
            if runner.stopping:
                # The second signal does not wait for the sink: what is in hand will be repeated.
                work.cancel()
            runner.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended)
        say(f"{common.name}: passing on decisions of {common.tenant}")
        try:
            await work
        except asyncio.CancelledError:
            say(f"{common.name}: stopped at once; what was in hand will be repeated")
        say(f"{common.name}: {runner.delivered} decisions passed on")
    finally:
        if page is not None:
            page.close()
        await channel.close()
        await sink.close()
    return EXIT_OK
