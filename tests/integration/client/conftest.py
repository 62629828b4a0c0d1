"""Fixtures of the client's tests: ingest beside four services that are fakes."""

from __future__ import annotations

from tests.integration.ingest.conftest import mesh, sqlite_url

__all__ = ["mesh", "sqlite_url"]
