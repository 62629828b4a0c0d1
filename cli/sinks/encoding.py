"""How decisions are written when they leave."""

from __future__ import annotations

from enum import StrEnum


class Encoding(StrEnum):
    """How a decision is written."""

    JSON = "json"
    PROTOBUF = "protobuf"

    @property
    def content_type(self) -> str:
        return "application/json" if self is Encoding.JSON else "application/x-protobuf"
