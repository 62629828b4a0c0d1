"""Worked cases of tests/data/regulation_cases.yaml as events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format

from usher.event.v1 import event_pb2

CASES_FILE = Path(__file__).resolve().parents[2] / "data" / "regulation_cases.yaml"

FURTHER_FILE = CASES_FILE.with_name("further_cases.yaml")
"""Cases of our own, in the same form."""

# Where the cases' words differ from the contract's.
_RENAMED = {"pia_done": "impact_assessment_done"}


def load_cases(file: Path = CASES_FILE) -> list[dict[str, Any]]:
    """Every case of a file."""
    cases: list[dict[str, Any]] = yaml.safe_load(file.read_text())["cases"]
    return cases


def event_of(case: dict[str, Any]) -> event_pb2.Event:
    """The event of a case; its region is a place that no law is about, so that only its legal facts speak."""
    told = dict(case["event"])
    event = event_pb2.Event(event_id=case["id"], user_id="u", device_id="d", event_type="play", region="ZZ")
    event.event_time.FromJsonString(told.pop("event_time"))
    json_format.ParseDict(_contract_words(told), event.privacy)
    return event


def _contract_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _RENAMED.get(
                key, key.removesuffix("_at") + "_time" if key.endswith("_at") else key
            ): _contract_words(inner)
            for key, inner in value.items()
            if inner is not None
        }
    return value
