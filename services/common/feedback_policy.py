"""feedback.yaml of a policy set: the control group and the sample of what was allowed. Pure.

Both are drawn by a hash of tenant and event id, so that a repeat, a replay and the estimate agree on who was drawn.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import yaml

from services.common.errors import FailedPrecondition
from usher.event.v1 import event_pb2

PART = "feedback"
"""Name of the part, of kind SCORING_RULES. A set without it draws nobody."""
VERSION = 1
MOST_CONTROL, MOST_SAMPLE = 0.05, 0.1
_CONTROL, _SAMPLE = b"control", b"sample"
_NEVER = frozenset({"payment", "credential", "export", "rights", "logout"})
_CLASSES = {
    name.removeprefix("EVENT_CLASS_").lower(): number for name, number in event_pb2.EventClass.items()
}


class FeedbackPolicy(NamedTuple):
    """What is drawn.

    Attributes:
        control_share: of acts that would be held up, 0 to 0.05.
        control_an_hour: acts let through an hour at most, by tenant, over all processes.
        control_bytes: greatest data volume of an act let through.
        control_classes: bits of EventClass.
        sample_share: of acts that are let through, 0 to 0.1.
    """

    control_share: float = 0.0
    control_an_hour: int = 0
    control_bytes: int = 0
    control_classes: int = 0
    sample_share: float = 0.0

    def in_control_group(self, tenant: str, event_id: str) -> bool:
        """Whether an act is drawn for the control group."""
        return _drawn(_CONTROL, tenant, event_id, self.control_share)

    def in_sample(self, tenant: str, event_id: str) -> bool:
        """Whether an act is drawn for the sample of what was allowed."""
        return _drawn(_SAMPLE, tenant, event_id, self.sample_share)


def read(content: bytes) -> FeedbackPolicy:
    """Reads and checks the part. Raises FailedPrecondition (RULES_INVALID) naming the entry."""
    try:
        told = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise _invalid(f"not YAML: {error}") from None
    told = _mapping(told, "the file", {"version", "control_group", "allowed_sample"})
    if told["version"] != VERSION:
        raise _invalid(f"version is {VERSION}")
    control = _mapping(
        told["control_group"], "control_group", {"share", "at_most_an_hour", "most_megabytes", "classes"}
    )
    sample = _mapping(told["allowed_sample"], "allowed_sample", {"share"})
    classes = control["classes"]
    if not isinstance(classes, list) or any(
        name not in _CLASSES or name in _NEVER or name == "unspecified" for name in classes
    ):
        raise _invalid(f"control_group.classes holds classes of events, none of {', '.join(sorted(_NEVER))}")
    return FeedbackPolicy(
        _number(control["share"], "control_group.share", MOST_CONTROL),
        int(_number(control["at_most_an_hour"], "control_group.at_most_an_hour", 1_000)),
        int(_number(control["most_megabytes"], "control_group.most_megabytes", 1_000_000) * 1_000_000),
        sum(1 << _CLASSES[name] for name in set(classes)),
        _number(sample["share"], "allowed_sample.share", MOST_SAMPLE),
    )


def _drawn(purpose: bytes, tenant: str, event_id: str, share: float) -> bool:
    if not share:
        return False
    digest = hashlib.blake2b(f"{tenant}\0{event_id}".encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _mapping(value: Any, name: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise _invalid(f"{name} has exactly the keys {', '.join(sorted(keys))}")
    return value


def _number(value: Any, name: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise _invalid(f"{name} is 0 to {most}")
    return value


def _invalid(message: str) -> FailedPrecondition:
    return FailedPrecondition("RULES_INVALID", f"feedback.yaml: {message}")
