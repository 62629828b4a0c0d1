"""Finds the test data that is not part of the repository, through the environment variable
USHER_TEST_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "USHER_TEST_DATA"


def data_path(relative: str, what: str) -> Path:
    """Returns a file or folder of the test data; ``what`` says what it is, for people.

    Skips the test with a plain message where USHER_TEST_DATA is not set; where it is set, a missing file is a
    failure, since the run was meant to be complete.
    """
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        pytest.skip(f"{VARIABLE} is not set: {what}")
    path = Path(folder) / relative
    if not path.exists():
        pytest.fail(f"{VARIABLE} is {folder}, but {relative} is not there: {what}", pytrace=False)
    return path
