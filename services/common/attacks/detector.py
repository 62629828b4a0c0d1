"""All patterns as one automaton, in two strengths: for prose and for what should be none."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import re2

from services.common.attacks.patterns import (
    CODE,
    COMMAND,
    LDAP,
    LOG,
    OWN,
    SQLI,
    SSRF,
    TEMPLATE,
    TRAVERSAL,
    XSS,
    XXE,
    Pattern,
)
from services.common.attacks.views import MAX_LENGTH, views

_CRS = Path(__file__).parent / "crs" / "rules.json"
_ORDER = (XXE, CODE, TEMPLATE, LDAP, SSRF, LOG, COMMAND, SQLI, TRAVERSAL, XSS)
"""Which class is told of those with equally many patterns that fit: what is said with more context first."""
_OVERLAP = 512
"""Characters that pieces of a long text share, so that what lies on a cut is seen whole."""
_GAP = re.compile(r"(?<!\\)\.[*+]|\[\^(?:[^\]\\]|\\.)*\][*+]")
_AUTOMATON_BYTES = 64 << 20
"""Most memory for the states of an automaton; RE2 drops them and goes on where hostile texts want more."""
_SMALL_AUTOMATON_BYTES = 4 << 20
LONG = 64
"""Characters from which a text is looked at with many small automata."""
PATTERNS_FOR_LONG = 4
"""Patterns of such an automaton at most."""


class Kind(StrEnum):
    """What a text is meant to be."""

    TEXT = "text"
    """Prose: a title, a message, a user agent."""
    IDENTIFIER = "identifier"
    """An id, a code, a name of a field: no prose, so that a command by itself counts."""
    PATH = "path"
    """A path or URL, perhaps with a query, where `+` is a blank."""


class Finding(NamedTuple):
    """What a text looks like."""

    attack: str
    """The class: one of `patterns.CLASSES`."""
    patterns: tuple[str, ...]
    """Ids of all patterns that fit, of every class."""


@lru_cache(maxsize=1)
def patterns() -> tuple[Pattern, ...]:
    """Every pattern: Usher's own, then the rules of the OWASP Core Rule Set (crs/README.md)."""
    crs = json.loads(_CRS.read_text(encoding="utf-8"))["rules"]
    return OWN + tuple(
        Pattern(rule["id"], rule["attack"], rule["about"], f"(?i:{rule['regex']})") for rule in crs
    )


@lru_cache(maxsize=4)
def _automata(strict: bool, long: bool) -> tuple[tuple[re2.Set, tuple[Pattern, ...]], ...]:
    """Automata with their patterns, which together find the same whatever `long` says.

    For short texts two: each pattern that spans a gap of any length doubles the states of those it shares an automaton with.
    For long ones many small ones: a state is made when a text first leads to it, and a hostile text leads to a new one with
    every character. Of a few patterns there are few states, and each is made quickly: a tenth of the cost altogether.
    """
    members = [pattern for pattern in patterns() if strict or not pattern.strict]
    near = tuple(pattern for pattern in members if not _GAP.search(pattern.regex))
    far = tuple(pattern for pattern in members if _GAP.search(pattern.regex))
    if not long:
        return (_automaton(near, _AUTOMATON_BYTES), near), (_automaton(far, _AUTOMATON_BYTES), far)
    groups = [
        some[at : at + PATTERNS_FOR_LONG]
        for some in (near, far)
        for at in range(0, len(some), PATTERNS_FOR_LONG)
    ]
    return tuple((_automaton(group, _SMALL_AUTOMATON_BYTES), group) for group in groups)


def _automaton(members: Sequence[Pattern], most_bytes: int) -> re2.Set:
    options = re2.Options()
    options.max_mem = most_bytes
    options.log_errors = False
    automaton = re2.Set.SearchSet(options)
    for pattern in members:
        automaton.Add(pattern.regex)
    automaton.Compile()
    return automaton


def is_word(text: str) -> bool:
    """Whether a text is empty, a word of letters and digits, perhaps with single `_` or `-` within, or a version or time."""
    return _WORD.fullmatch(text) is not None and "0x" not in text


_WORD = re.compile(r"(?:[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*|[0-9]+(?:[.:][0-9]+)*)?")


def inspect(text: str, kind: Kind = Kind.TEXT) -> Finding | None:
    """What attack a text looks like; None where it is clean. A single word is.

    Linear in the length of the text (RE2; encodings are taken away up to a fixed depth). Lone surrogates are read as `?`.
    """
    if len(text) <= MAX_LENGTH:
        return None if is_word(text) else _inspect(text, kind)
    found: dict[str, None] = {}
    for start in range(0, len(text), MAX_LENGTH - _OVERLAP):
        one = _inspect(text[start : start + MAX_LENGTH], kind)
        if one is not None:
            found.update(dict.fromkeys(one.patterns))
    return _finding(tuple(found)) if found else None


def _inspect(text: str, kind: Kind) -> Finding | None:
    automata = _automata(kind is not Kind.TEXT, len(text) > LONG)
    found: dict[str, None] = {}
    for view in views(text, plus_is_space=kind is Kind.PATH and "?" in text):
        encoded = _utf8(view)
        for automaton, members in automata:
            for index in automaton.Match(encoded) or ():
                found[members[index].id] = None
    return _finding(tuple(found)) if found else None


def _utf8(text: str) -> str:
    # RE2 takes UTF-8, which lone surrogates have not.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _finding(ids: Sequence[str]) -> Finding:
    by_id = _classes()
    votes = Counter(by_id[one] for one in ids)
    most = max(votes.values())
    return Finding(next(attack for attack in _ORDER if votes[attack] == most), tuple(sorted(ids)))


@lru_cache(maxsize=1)
def _classes() -> dict[str, str]:
    return {pattern.id: pattern.attack for pattern in patterns()}
