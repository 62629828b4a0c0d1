"""Pages by position: what a request asks for. Pure."""

from __future__ import annotations

from services.common.errors import FieldViolation, InvalidArgument

FIRST = 1 << 62
"""Above every position: where lists begin that show the newest first."""
LARGEST = 1_000
_USUAL = 100


def page_of(size: int, token: str, *, first: int = FIRST) -> tuple[int, int]:
    """(rows, position to go on from) of `page_size` and `page_token`; `first` is where the first page begins.

    Raises InvalidArgument (PAGE_SIZE_INVALID, PAGE_TOKEN_INVALID).
    """
    if not 0 <= size <= LARGEST:
        raise InvalidArgument(
            "PAGE_SIZE_INVALID",
            f"page_size is 1 to {LARGEST}, or 0 for {_USUAL}",
            violations=[FieldViolation("page_size", "PAGE_SIZE_INVALID", f"1 to {LARGEST}")],
        )
    if token and not (token.isascii() and token.isdigit() and len(token) < 20):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID",
            "page_token is the next_page_token of an earlier answer",
            violations=[FieldViolation("page_token", "PAGE_TOKEN_INVALID", "send it back unchanged")],
        )
    return size or _USUAL, min(int(token), FIRST) if token else first
