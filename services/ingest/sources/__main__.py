"""Run a source: python -m services.ingest.sources"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack

from services.common.client import connect
from services.common.config import load
from services.common.server import run, start_server, tune_runtime
from services.common.telemetry import Telemetry, start_telemetry
from services.ingest import faults
from services.ingest.sources.delivery import Delivery, report_call, submit_call
from services.ingest.sources.pump import Pump, Source
from services.ingest.sources.settings import SourceSettings


def source(settings: SourceSettings, telemetry: Telemetry) -> Source:
    """The source that the settings describe."""
    name, batch = settings.reported_instance, settings.batch_events
    if settings.kafka is not None and settings.kind == "kafka":
        from services.ingest.sources.kafka import KafkaSource

        return KafkaSource(settings.kafka, batch, name, telemetry)
    if settings.redis is not None and settings.kind == "redis":
        from services.ingest.sources.stream import RedisSource

        return RedisSource(settings.redis, batch, name, telemetry)
    from services.ingest.sources.lines import FileSource, StdinSource

    if settings.file is not None and settings.kind == "file":
        return FileSource(settings.file, batch, telemetry)
    return StdinSource(batch, name)


async def main() -> None:
    """Settings, telemetry, the channel to ingest, the source; until its end or a signal."""
    faults.arm(os.environ, faults.SOURCE_POINTS)
    settings = load(SourceSettings, prefix="USHER_SOURCE_")
    telemetry = start_telemetry(f"source-{settings.kind}", settings.telemetry)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(connect(settings.ingest, telemetry=telemetry))
        delivery = Delivery(submit_call(channel, settings.api_key), settings.tenant, telemetry)
        report = report_call(channel, settings.api_key)
        pump = Pump(source(settings, telemetry), delivery, report, settings, telemetry)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, pump.stop)
        if settings.server is not None:
            server = start_server(settings.server, [], healthy=pump.healthy, telemetry=telemetry)
            await stack.enter_async_context(server)
        tune_runtime()
        await pump.run()
    await asyncio.to_thread(telemetry.shutdown)


if __name__ == "__main__":
    run(main())
