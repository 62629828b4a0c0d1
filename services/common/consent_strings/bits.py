"""Bits of the base64url text that consent strings are made of, read and written exactly.

A reader never reads past the end, and `end` accepts nothing but the zero bits with which a string is filled up.

Sources: IAB Tech Lab, "Consent string and vendor list formats v2" (TCF) and "Global Privacy Platform String", section
"Section Encoding" (data types); Fibonacci coding as defined there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from itertools import compress

MAX_PADDING = 23
"""Zero bits that may follow the last field: the filling to 24 bits that whole base64 quanta need."""

MAX_ID = 0xFFFF
"""Largest vendor id: 16 bits."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# "0" and "1" -> 0 and 1.
_TRUTHS = bytes.maketrans(b"01", b"\x00\x01")
_FIBONACCI = [1, 2]
while _FIBONACCI[-1] <= MAX_ID:
    _FIBONACCI.append(_FIBONACCI[-1] + _FIBONACCI[-2])


class ConsentStringError(ValueError):
    """A consent string that is not one, or not one of a known version.

    Attributes:
        reason: machine-readable, UPPER_SNAKE (docs/errors.md).
        part: where it was found: "header", "core", "section 7 (usnat)".
    """

    def __init__(self, reason: str, part: str, message: str) -> None:
        super().__init__(f"{part}: {message}")
        self.reason = reason
        self.part = part
        self.message = message


class BitReader:
    """Reads fields from the front of one segment."""

    def __init__(self, text: str, part: str) -> None:
        """Raises ConsentStringError (BASE64_INVALID) where `text` is not base64url without padding."""
        if not _BASE64URL.fullmatch(text):
            raise ConsentStringError(
                "BASE64_INVALID", part, "holds other characters than A-Z a-z 0-9 - _, or none"
            )
        # Whole quanta for the C decoder; what the filling adds is cut off again.
        raw = base64.urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._bits = format(int.from_bytes(raw, "big"), f"0{len(raw) * 8}b")[: len(text) * 6]
        self._at = 0
        self.part = part

    @property
    def remaining(self) -> int:
        """Bits that were not read."""
        return len(self._bits) - self._at

    @property
    def length(self) -> int:
        """Bits of the whole segment."""
        return len(self._bits)

    def fork(self) -> BitReader:
        """A reader at the same place that goes on by itself."""
        other = object.__new__(BitReader)
        other._bits, other._at, other.part = self._bits, self._at, self.part
        return other

    def bits(self, count: int, field: str) -> str:
        """The next `count` bits as "0" and "1"; raises ConsentStringError (TRUNCATED)."""
        end = self._at + count
        if end > len(self._bits):
            raise ConsentStringError("TRUNCATED", self.part, f"ends within {field}")
        found = self._bits[self._at : end]
        self._at = end
        return found

    def integer(self, count: int, field: str) -> int:
        """An unsigned integer of `count` bits, the most significant first."""
        return int(self.bits(count, field), 2)

    def boolean(self, field: str) -> bool:
        """One bit."""
        return self.bits(1, field) == "1"

    def flags(self, count: int, field: str) -> list[bool]:
        """`count` bits, one a flag."""
        return [bit == "1" for bit in self.bits(count, field)]

    def ids(self, count: int, field: str) -> list[int]:
        """The positions, from 1, of the bits that are set among the next `count`."""
        truths = self.bits(count, field).encode().translate(_TRUTHS)
        return list(compress(range(1, count + 1), truths))

    def letters(self, count: int, field: str) -> str:
        """`count` letters A to Z of 6 bits each; raises ConsentStringError (LETTER_INVALID)."""
        codes = [self.integer(6, field) for _ in range(count)]
        if max(codes) > 25:
            raise ConsentStringError("LETTER_INVALID", self.part, f"{field} is not {count} letters A to Z")
        return "".join(chr(65 + code) for code in codes)

    def fibonacci(self, field: str) -> int:
        """A Fibonacci-coded integer, 1 to 65,535: bits of weight 1, 2, 3, 5, ... closed by a further 1."""
        end = self._bits.find("11", self._at)
        if end < 0:
            raise ConsentStringError("TRUNCATED", self.part, f"ends within {field}")
        code = self.bits(end + 1 - self._at, field)
        self._at += 1
        value = sum(weight for weight, bit in zip(_FIBONACCI, code, strict=False) if bit == "1")
        if len(code) > len(_FIBONACCI) or value > MAX_ID:
            raise ConsentStringError("ID_INVALID", self.part, f"{field} holds a number above {MAX_ID:,}")
        return value

    def fibonacci_range(self, field: str) -> list[int]:
        """Ids as a Range(Fibonacci): offsets from the last id and lengths of groups, ascending by their nature."""
        found: list[int] = []
        last = 0
        for _ in range(self.integer(12, field)):
            group = self.boolean(field)
            first = last + self.fibonacci(field)
            last = first + self.fibonacci(field) if group else first
            if last > MAX_ID:
                raise ConsentStringError("ID_INVALID", self.part, f"{field} holds a number above {MAX_ID:,}")
            found.extend(range(first, last + 1))
        return found

    def integer_range(self, field: str, largest: int = MAX_ID) -> list[int]:
        """Ids as a Range(Int), ascending and each once, however they were written.

        Raises ConsentStringError (ID_INVALID) for id 0, a range that ends before it begins, an id above `largest`, or
        more ids than there can be.
        """
        found: set[int] = set()
        written = 0
        for _ in range(self.integer(12, field)):
            group = self.boolean(field)
            first = self.integer(16, field)
            last = self.integer(16, field) if group else first
            written += last - first + 1
            if not 1 <= first <= last <= largest or written > MAX_ID:
                raise ConsentStringError(
                    "ID_INVALID", self.part, f"{field} holds ids {first} to {last} of 1 to {largest}"
                )
            found.update(range(first, last + 1))
        return sorted(found)

    def end(self, most: int | None = MAX_PADDING) -> None:
        """Nothing but filling may follow: zero bits, at most `most` (None: any number).

        Raises ConsentStringError (PADDING_INVALID, TRAILING_DATA).
        """
        if "1" in self._bits[self._at :]:
            raise ConsentStringError("PADDING_INVALID", self.part, "bits are set after the last field")
        if most is not None and self.remaining > most:
            raise ConsentStringError(
                "TRAILING_DATA", self.part, f"{self.remaining} bits follow the last field, more than filling"
            )


class BitWriter:
    """Writes what BitReader reads; values are taken as they are, as they come from a decoded string."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def raw(self, bits: str) -> None:
        """Bits as "0" and "1"."""
        self._parts.append(bits)

    def integer(self, value: int, count: int) -> None:
        """An unsigned integer of `count` bits; raises ValueError where it does not fit."""
        if not 0 <= value < 1 << count:
            raise ValueError(f"{value} does not fit {count} bits")
        self._parts.append(format(value, f"0{count}b"))

    def boolean(self, value: bool) -> None:
        """One bit."""
        self._parts.append("1" if value else "0")

    def flags(self, values: Iterable[bool]) -> None:
        """One bit each."""
        self._parts.append("".join("1" if value else "0" for value in values))

    def ids(self, ids: Iterable[int], count: int) -> None:
        """A bit field of `count` bits with those of `ids` set."""
        field = ["0"] * count
        for number in ids:
            field[number - 1] = "1"
        self._parts.append("".join(field))

    def letters(self, text: str) -> None:
        """Letters A to Z of 6 bits each."""
        for letter in text:
            self.integer(ord(letter) - 65, 6)

    def fibonacci(self, value: int) -> None:
        """A Fibonacci-coded integer of 1 or more."""
        if value < 1:
            raise ValueError(f"{value} has no Fibonacci code")
        code = ["0"] * len(_FIBONACCI)
        for place in range(len(_FIBONACCI) - 1, -1, -1):
            if _FIBONACCI[place] <= value:
                value -= _FIBONACCI[place]
                code[place] = "1"
        self._parts.append("".join(code).rstrip("0") + "1")

    def fibonacci_range(self, ids: Sequence[int]) -> None:
        """Ascending ids as a Range(Fibonacci)."""
        groups = grouped(ids)
        self.integer(len(groups), 12)
        last = 0
        for first, end in groups:
            self.boolean(end > first)
            self.fibonacci(first - last)
            if end > first:
                self.fibonacci(end - first)
            last = end

    def integer_range(self, ids: Sequence[int]) -> None:
        """Ascending ids as a Range(Int)."""
        groups = grouped(ids)
        self.integer(len(groups), 12)
        for first, end in groups:
            self.boolean(end > first)
            self.integer(first, 16)
            if end > first:
                self.integer(end, 16)

    @property
    def length(self) -> int:
        """Bits written."""
        return sum(map(len, self._parts))

    def bits(self) -> str:
        """What was written."""
        return "".join(self._parts)

    def text(self, multiple: int) -> str:
        """The bits filled up with zeros to a multiple of `multiple` and then of 6, as base64url without padding."""
        bits = self.bits()
        bits += "0" * (-len(bits) % multiple)
        bits += "0" * (-len(bits) % 6)
        count = len(bits) // 6
        bits += "0" * (-len(bits) % 24)
        raw = int(bits or "0", 2).to_bytes(len(bits) // 8, "big")
        return base64.urlsafe_b64encode(raw).decode()[:count]


def grouped(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending ids as (first, last) of each unbroken run."""
    groups: list[tuple[int, int]] = []
    for number in ids:
        if groups and groups[-1][1] + 1 == number:
            groups[-1] = (groups[-1][0], number)
        else:
            groups.append((number, number))
    return groups
