"""Every layer that a program behind may take away is taken away; what is plain stays what it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.attacks.views import MAX_LENGTH, decoded, folded, lenient, views


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        # RFC 3986, once, twice, three times; `%u` of ECMA-262 annex B.
        ("%2e%2e%2f", "../"),
        ("%252e%252e%252f", "../"),
        ("%25252e%25252e%25252f", "../"),
        ("%u002e%u002e%u2215", "../"),
        # UTF-8 longer than it may be: RFC 3629 section 3 gives C0 80 as the example of what is forbidden.
        ("%c0%ae%c0%ae%c0%af", "../"),
        ("%e0%80%ae%e0%80%ae%e0%80%af", "../"),
        ("%f0%80%80%ae%f8%80%80%80%ae%fc%80%80%80%80%af", "../"),
        ("%c1%9c", "\\"),
        ("%c0%2e", "."),
        # ECMA-262, 12.9.4.
        (r"\u003cscript\u003e", "<script>"),
        (r"\x3cscript\x3e", "<script>"),
        (r"\u{3c}script\u{00003e}", "<script>"),
        (r"\74script\76", "<script>"),
        # HTML, 13.5: decimal, hexadecimal, named, without semicolon.
        ("&#60;script&#x3e;", "<script>"),
        ("&lt;script&gt;", "<script>"),
        ("&#x3cscript", "<script"),
        ("java&Tab;script", "java script"),
        # UTF-7 (RFC 2152).
        ("+ADw-script+AD4-", "<script>"),
        # NFKC: full width; typographic quotes; nothing that prints.
        ("\uff1cscript\uff1e", "<script>"),
        ("\u2019 or 1=1", "' or 1=1"),
        ("scr\u200bi\u00adpt", "script"),
        # Mixed.
        ("%26lt%3bscript%26gt%3b", "<script>"),
    ],
)
def test_layers_are_taken_away(text: str, plain: str) -> None:
    assert decoded(text) == plain


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("UN/**/ION SEL/**/ECT", "union select"),
        ("UNION/**/SELECT", "union select"),
        ("/*!50000union*/ select", " union select"),
        ("or -- comment\n1=1", "or 1=1"),
        ("c'a't /etc/passwd", "cat /etc/passwd"),
        ("c\\at${IFS}/etc/passwd", "cat /etc/passwd"),
        ("{cat,/etc/passwd}", "cat /etc/passwd"),
        ("0x2e0x2e0x2f", "../"),
        ("0x73656c65637420757365722829", "select user()"),
        ("'sel'||'ect'", "'select'"),
        ("s%e%lect 1 f%rom% t", "select 1 from t"),
        ("JyBvciAxPTEgLS0gYWxsIG9mIHRoZW0=", "' or 1=1 -- all of them"),
        ("A  B\t\tC", "a b c"),
    ],
)
def test_what_a_program_joins_is_joined(text: str, view: str) -> None:
    assert view in views(text)


def test_plus_is_a_blank_only_in_a_query() -> None:
    assert "john or@var.es" not in views("john+or@var.es")
    assert "john or@var.es" in views("john+or@var.es", plus_is_space=True)


def test_a_plain_text_is_its_own_only_view() -> None:
    assert views("Love Field (1992)") == ["love field (1992)"]


def test_bytes_that_are_no_utf8_are_read_as_latin_1() -> None:
    assert lenient(b"caf\xe9") == "café"
    assert lenient("café".encode()) == "café"


@given(st.text())
def test_any_text_has_views(text: str) -> None:
    found = views(text)
    assert found
    assert all(isinstance(view, str) for view in found)


@given(st.binary())
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert isinstance(lenient(data), str)


@given(st.text(alphabet="%\\&+/*'\"-#{}$0x2eu;\n ", max_size=200))
def test_decoding_ends_and_does_not_grow_beyond_its_bound(text: str) -> None:
    assert len(decoded(text)) <= max(len(text), MAX_LENGTH)


@given(st.text(max_size=50))
def test_folding_is_idempotent(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
