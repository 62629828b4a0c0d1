"""A running ingest of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.integration.cli.fake_ingest import FakeIngest, Mesh
from usher.ingest.v1 import ingest_pb2_grpc


@pytest.fixture
async def mesh(short_tmp_path: Path) -> AsyncIterator[Mesh]:
    ingest = FakeIngest()
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(ingest, server)
    target = f"unix:{short_tmp_path}/ingest.sock"
    server.add_insecure_port(target)
    await server.start()
    yield Mesh(ingest, target)
    await server.stop(0)
