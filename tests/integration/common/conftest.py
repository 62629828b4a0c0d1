from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A short private directory: a socket's path holds about 100 bytes."""
    path = Path(tempfile.mkdtemp(prefix="us-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
