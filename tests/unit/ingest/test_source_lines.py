"""Bytes as lines: however they come in, with bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources.lines import MAX_LINE_BYTES, Line, Lines
from services.ingest.sources.records import KEPT_BYTES


def of(pieces: list[bytes], offset: int = 0) -> list[Line]:
    lines = Lines(offset)
    found = [line for piece in pieces for line in lines.feed(piece)]
    last = lines.end()
    return found + ([last] if last is not None else [])


@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"x", b"\n")), max_size=12),
    st.integers(0, 99),
)
def test_lines_are_those_of_the_whole_wherever_it_is_cut(pieces: list[bytes], offset: int) -> None:
    whole = b"".join(pieces)
    wanted = whole.split(b"\n")
    if not wanted[-1]:
        wanted.pop()
    found = of(pieces, offset)
    assert [line.text for line in found] == wanted
    for line in found:
        assert whole[line.offset - offset : line.offset - offset + line.size] == line.text
    assert [line.end for line in found[:-1]] == [line.offset for line in found[1:]]
    assert not found or found[-1].end == offset + len(whole)


def test_of_a_line_that_is_too_long_the_beginning_and_the_size_are_kept() -> None:
    found = of([b"a\n", *[b"y" * 100_000] * 20, b"\nb"])
    assert [(line.text[:1], line.size) for line in found] == [(b"a", 1), (b"y", 2_000_000), (b"b", 1)]
    assert len(found[1].text) == KEPT_BYTES
    assert found[2].offset == 2 + 2_000_001
    assert found[2].number == 3
    assert MAX_LINE_BYTES < 2_000_000
