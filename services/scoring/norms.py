"""What is usual among all viewers: a versioned snapshot that is part of the policy set.

Features and named patterns compare with these numbers and never with what happened to be seen last, so that a
decision depends on its own viewer's order of events alone. Training writes the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from services.common.errors import FailedPrecondition
from services.scoring.profile import KIND_SLOTS, KINDS

VERSION = 2
LEAST_SHARE = 1e-6
"""Share of a kind of event that was never seen."""


class NormsInvalid(FailedPrecondition):
    """Norms that must not decide; the message names the entry."""

    def __init__(self, message: str) -> None:
        super().__init__("NORMS_INVALID", message)


class Norms(NamedTuple):
    """The snapshot.

    Attributes:
        values: numbers by name, for the rules (`norms.NAME`).
        kind_share: share of the events that are of a kind, by its number, above 0.
        kind_volume: KiB that 99 of 100 events of a kind stay under, by its number; 0 where the kind moves no data.
    """

    values: Mapping[str, float]
    kind_share: NDArray[np.float64]
    kind_volume: NDArray[np.float64]


def read_norms(content: bytes) -> Norms:
    """Reads norms.json. Raises NormsInvalid naming what is wrong."""
    try:
        read = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise NormsInvalid(f"norms.json is not JSON: {error}") from None
    if not isinstance(read, dict) or read.get("version") != VERSION:
        raise NormsInvalid(f"norms.json is not of version {VERSION}")
    share = np.full(KIND_SLOTS, LEAST_SHARE)
    volume = np.zeros(KIND_SLOTS)
    try:
        values = {str(name): _number(value) for name, value in read["norms"].items()}
        for name, entry in read["kinds"].items():
            number = KINDS.index(name)
            share[number] = max(_number(entry["share"]), LEAST_SHARE)
            volume[number] = max(_number(entry["volume_kib"]), 0.0)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NormsInvalid(
            f"norms.json lacks or misspells an entry: {type(error).__name__}: {error}"
        ) from None
    return Norms(values, share, volume)


def _number(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{value!r} is no number")
    return number


def write_norms(norms: Norms) -> bytes:
    """The snapshot as norms.json, which `read_norms` reads."""
    kinds = {
        name: {
            "share": float(f"{norms.kind_share[number]:.6g}"),
            "volume_kib": float(f"{norms.kind_volume[number]:.6g}"),
        }
        for number, name in enumerate(KINDS)
    }
    return orjson.dumps(
        {"version": VERSION, "norms": dict(norms.values), "kinds": kinds},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )
