"""Which alerts are meant, by whoever lists them or acts on many. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Filter:
    """Which alerts are meant."""

    minimum_severity: int = 0
    states: tuple[int, ...] = ()
    subject_kind: str = ""
    subject: str = ""
    kind: str = ""
    assignee: str = ""

    def narrows(self) -> bool:
        """Whether it says anything."""
        return self != Filter()
