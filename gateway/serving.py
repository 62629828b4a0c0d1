"""The HTTP server and its drain: not ready first, then no new connections, then the last answers, then the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from gateway.settings import GatewaySettings
from services.common.telemetry import Telemetry


class GatewayServer(uvicorn.Server):
    """uvicorn without its own handling of signals: the drain begins before the listener closes."""

    def __init__(self, app: FastAPI, settings: GatewaySettings, telemetry: Telemetry) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                lifespan="off",
                log_config=None,
                # Our own lines hold templates instead of paths, which may hold an event's id.
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=max(1, round(settings.drain_grace)),
            )
        )
        # uvicorn's own limit answers without a delay, and not as a problem: the edge asks for the number instead.
        app.state.connections = lambda: len(self.server_state.connections)
        self._readiness = app.state.readiness
        self._notice = settings.drain_notice
        self._log = telemetry.logger("server")
        self.addresses: list[str] = []
        """`host:port` of every listener, once started."""
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        names = [item.getsockname() for server in self.servers for item in server.sockets]
        self.addresses = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port, *_ in names]
        self._log.info("serving", extra={"addresses": self.addresses})
        self.listening.set()

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, drains, returns; requests that run then are answered."""
        serving = asyncio.create_task(self.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self._readiness.drain()
        if not serving.done():
            self._log.info("draining")
            await asyncio.sleep(self._notice)
            self.should_exit = True
        stopping.cancel()
        await serving
        self._log.info("drained")
