"""Serves HTTP until SIGTERM or SIGINT, drains, exits with 0; with 2 when the settings allow no start."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from gateway import alerts, auditors, breaches, consents, enforcement, fraud, rights, scoring
from gateway.app import IDEMPOTENT, create_app
from gateway.serving import GatewayServer
from gateway.settings import GatewaySettings
from services.common import config
from services.common.client import connect
from services.common.server import run, tune_runtime
from services.common.telemetry import start_telemetry

_COMPLIANCE = (*consents.IDEMPOTENT, *rights.IDEMPOTENT, *breaches.IDEMPOTENT, *auditors.IDEMPOTENT)


async def main() -> None:
    """Composition root."""
    settings = config.load(GatewaySettings, prefix="USHER_GATEWAY_")
    telemetry = start_telemetry("gateway", settings.telemetry)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as channels:
        ingest = await channels.enter_async_context(
            connect(settings.ingest, telemetry=telemetry, idempotent=(*IDEMPOTENT, *enforcement.IDEMPOTENT))
        )
        others = [
            None
            if found is None
            else await channels.enter_async_context(
                connect(found, telemetry=telemetry, idempotent=repeatable)
            )
            for found, repeatable in (
                (settings.compliance, _COMPLIANCE),
                (settings.alerts, alerts.IDEMPOTENT),
                (settings.fraud, fraud.IDEMPOTENT),
                (settings.scoring, scoring.IDEMPOTENT),
            )
        ]
        app = create_app(settings, ingest, telemetry, *others)
        server = GatewayServer(app, settings, telemetry)
        tune_runtime()
        await server.serve_until(stop)
    await asyncio.to_thread(telemetry.shutdown)


if __name__ == "__main__":
    run(main())
