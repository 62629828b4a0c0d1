"""Decisions as bytes: a serialised partial usher.decision.v1.Decision (fields 1 to 10) an event.

The numbers of a batch are laid out side by side with the field tags already in place, so the common decision costs
no message at all. Reasons, actions and counterfactual are serialised by protobuf and follow; protobuf reads the
fields of a message in any order (https://protobuf.dev/programming-guides/encoding/#order).
"""

from __future__ import annotations

import numpy as np

from services.scoring import decide

# (field number << 3) | wire type; 0: varint, 5: 32 bits, 2: length and bytes.
_OUTCOME, _WOULD_BE, _MODE, _RISK_SCORE = 1 << 3, 2 << 3, 3 << 3, (4 << 3) | 5
_LEVEL, _SEGMENT, _NUMBERS = 5 << 3, 6 << 3, (9 << 3) | 2
_NUMBERS_BYTES = decide.NUMBERS * 4
_HEAD = 18
SIZE = _HEAD + _NUMBERS_BYTES
if not 128 <= _NUMBERS_BYTES < 16_384:
    raise RuntimeError("the length of the numbers is laid out as a varint of two bytes")

_TEMPLATE = np.zeros(SIZE, np.uint8)
_TEMPLATE[[0, 2, 4, 6, 11, 13, 15]] = _OUTCOME, _WOULD_BE, _MODE, _RISK_SCORE, _LEVEL, _SEGMENT, _NUMBERS
_TEMPLATE[16], _TEMPLATE[17] = (_NUMBERS_BYTES & 0x7F) | 0x80, _NUMBERS_BYTES >> 7


def compose(decided: decide.Decided) -> list[bytes]:
    """The part of each decision that is there without reasons; one an event."""
    rows = np.empty((len(decided.outcome), SIZE), np.uint8)
    rows[:] = _TEMPLATE
    rows[:, 1], rows[:, 3], rows[:, 5] = decided.outcome, decided.would_be, decided.mode
    rows[:, 7:11] = decided.risk_score.astype("<f4")[:, None].view(np.uint8)
    rows[:, 12], rows[:, 14] = decided.level, decided.segment
    rows[:, _HEAD:] = decided.numbers.astype("<f4", copy=False).view(np.uint8)
    joined = rows.tobytes()
    return [joined[start : start + SIZE] for start in range(0, len(joined), SIZE)]
