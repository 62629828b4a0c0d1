"""What a text says once its encodings are taken away: the forms under which patterns look at it. Pure.

An attack is written so that the check reads something else than the program behind it. So every layer that some
program would take away is taken away here, up to a fixed depth, and each form in which the text could arrive is
one view:

  * percent-encoding (RFC 3986), also twice and three times, and `%uXXXX` (ECMA-262 annex B, IIS);
  * UTF-8 that is longer than it may be (RFC 3629, section 3 forbids it; decoders that take it are the attack);
  * escapes of JavaScript and of shells: `\\uXXXX`, `\\u{X}`, `\\xXX`, octal;
  * character references of HTML, with and without their semicolon; UTF-7;
  * compatibility forms (NFKC: full width, ligatures), characters that databases and file systems fold (typographic
    quotes, set minus as a backslash), characters that print nothing;
  * SQL comments, both as white space and as nothing; the body of MySQL's conditional comments;
  * quotes and backslashes that a shell takes out of a word, `${IFS}`;
  * `0x2e0x2e0x2f`, a path in hexadecimal.

Views are in lower case, white space is one blank, a line's end stays a line's end.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata

MAX_LENGTH = 16_384
"""Characters of a text that are looked at in one piece; a longer one is looked at in overlapping pieces."""
_PIECE = 1_024
MAX_ROUNDS = 4
"""Layers of encoding that are taken away."""

# A text without any of these is its own only view, up to case and white space.
_NEEDS_WORK = re.compile(r"[^\x20-\x7e]|[%\\&`^{}'\"#+]|/\*|--|0x|  |[A-Za-z0-9_/=]{24}")
_PERCENT = re.compile(r"%(?:u([0-9a-fA-F]{4})|([0-9a-fA-F]{2}))")
_ESCAPE = re.compile(
    r"\\(?:u\{0{0,8}([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3]?[0-7]{2})(?![0-7]))"
)
_REFERENCE = re.compile(r"&(?:#|[a-zA-Z])")
_BLANK_REFERENCE = re.compile(r"&(?:tab|newline);", re.IGNORECASE)
_UTF7 = re.compile(r"\+A[A-Za-z0-9+/]{2,}-?")
_HEX_PATH = re.compile(r"0x(2e|2f|5c|00)", re.IGNORECASE)
_HEX_TEXT = re.compile(r"0x((?:[0-9a-f]{2}){8,})", re.IGNORECASE)
_CONDITION = re.compile(r"[!mM]!?\d{0,6}")
_SPACE = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n\s*")
_SHELL_BLANK = re.compile(r"\$\{?ifs(?:%\?\?|:[^}]*)?\}?(?:\$\d)?|\$ifs(?:\$\d)?", re.IGNORECASE)
_SHELL_NOTHING = re.compile(r"\$[@*]|\$\{[@*]\}|[\"'\\^`]")
_SHELL_WORD = re.compile(r"\w(?:[\"']{1,2}|\\|\^|\$@|\$\*|``)\w|[\\^]\w|\$\{?ifs", re.IGNORECASE)
_BRACES = re.compile(r"\{([\w./-]+(?:,[^,{}\s]{1,200})+)\}")
_JOINED = re.compile(r"(['\"]) ?(?:\|\||\+|\.| ) ?\1")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4}){6,}(?:[A-Za-z0-9+/_-]{2,3}={0,2})?")
# Format characters, combining marks, controls other than white space: what a comparison of texts may ignore.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9a\x9c-\x9f\xad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)

# What NFKC leaves alone and a program behind may not.
_FOLDS = str.maketrans(
    {
        0x2018: "'", 0x2019: "'", 0x201A: "'", 0x201B: "'", 0x2032: "'", 0x2035: "'", 0x02B9: "'", 0x02BC: "'",
        0x02BB: "'", 0x02C8: "'", 0x00B4: "'",
        0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2033: '"', 0x02BA: '"', 0x02EE: '"',
        0x2215: "/", 0x2044: "/", 0x29F8: "/", 0x2216: "\\", 0x29F5: "\\", 0x29F9: "\\",
        0x2039: "<", 0x203A: ">", 0x3008: "<", 0x3009: ">", 0x2329: "<", 0x232A: ">",
        0x2024: ".", 0x2E31: ".", 0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2212: "-",
        0x0131: "i", 0x0130: "i", 0x2028: "\n", 0x2029: "\n", 0x0085: "\n", 0x00A0: " ", 0x180E: " ",
    }
)  # fmt: skip

_EIGHTH_BIT = str.maketrans({0xBC: "<", 0xBE: ">", 0xA2: '"', 0xA7: "'", 0xC2: None, 0xD0: None})


def decoded(text: str) -> str:
    """The text with every layer of encoding taken away, in its own case; at most MAX_ROUNDS layers."""
    for _ in range(MAX_ROUNDS):
        before = text
        if "%" in text:
            text = _percent_decoded(text)
        if "\\" in text:
            text = _ESCAPE.sub(_escaped, text)
        if "&" in text and _REFERENCE.search(text):
            text = html.unescape(_BLANK_REFERENCE.sub(" ", text))
        if "+A" in text:
            text = _UTF7.sub(_utf7, text)
        if not text.isascii():
            if "\xbc" in text and "\xbe" in text:
                # ASCII with the eighth bit set: a fraction of one quarter is what `<` becomes.
                text = text.translate(_EIGHTH_BIT)
            text = _compatible(text)
        if text == before:
            break
    return text


def views(text: str, *, plus_is_space: bool = False) -> list[str]:
    """Every form under which the patterns look at a text; the first is the text itself.

    With `plus_is_space` (a query, a form) a `+` is a blank as well; elsewhere only where nothing else separates words.
    """
    if not _NEEDS_WORK.search(text):
        return [text.lower()]
    raw = folded(text)
    found = {raw: None}
    plain = decoded(text)
    _add(found, plain)
    if "+" in text and (plus_is_space or (" " not in text and text.count("+") > 1)):
        plain = decoded(text.replace("+", " "))
        _add(found, plain)
    if "/*" in plain or (("--" in plain or "#" in plain) and ("\n" in plain or "\r" in plain)):
        inner = _without_line_comments(plain)
        _add(found, _without_comments(inner, " "))
        _add(found, _without_comments(inner, ""))
    if _SHELL_WORD.search(plain) or ("{" in plain and "," in plain):
        spoken = _BRACES.sub(lambda m: m[1].replace(",", " "), plain)
        _add(found, _SHELL_NOTHING.sub("", _SHELL_BLANK.sub(" ", spoken)))
    if "'" in plain or '"' in plain:
        one_blank = folded(plain)
        found[_JOINED.sub("", one_blank)] = None
    if "0x" in plain:
        _add(found, _HEX_TEXT.sub(_spelled, _HEX_PATH.sub(lambda m: chr(int(m[1], 16)), plain)))
    if plain.count("%") > 3:
        # What IIS takes for nothing: a percent sign without two digits behind it.
        _add(found, plain.replace("%", ""))
    if _BASE64.fullmatch(text):
        _add(found, _from_base64(text))
    return list(found)


def folded(text: str) -> str:
    """In lower case, without NUL, each stretch of white space as one blank or, where it breaks a line, one line's end."""
    text = _SPACE.sub(" ", text.replace("\0", "").replace("\r", "\n")).lower()
    return _LINES.sub("\n", text) if "\n" in text else text


def _add(found: dict[str, None], text: str) -> None:
    view = folded(text)
    found[view] = None
    if "\n" in view:
        found[view.replace("\n", " ")] = None


def _without_line_comments(text: str) -> str:
    """Without what follows `--` or `#` up to the end of its line; what stands in the last line stays."""
    *lines, last = text.replace("\r", "\n").split("\n")
    kept = []
    for line in lines:
        ends = [at for at in (line.find("--"), line.find("#")) if at >= 0]
        kept.append(f"{line[: min(ends)]} " if ends else f"{line}\n")
    return "".join(kept) + last


def _without_comments(text: str, instead: str) -> str:
    """Without `/* */`; of MySQL's `/*! */` the content stays. What is never closed stays as it is."""
    head, *rest = text.split("/*")
    out = [head]
    for piece in rest:
        inner, end, after = piece.partition("*/")
        if not end:
            out += ["/*", piece]
            continue
        condition = _CONDITION.match(inner)
        out += [f" {inner[condition.end() :]} " if condition else instead, after]
    return "".join(out)


def _from_base64(text: str) -> str:
    try:
        plain = base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))
        spelled = plain.decode("ascii")
    except (ValueError, UnicodeDecodeError):
        return text
    return spelled if spelled.isprintable() else text


def _percent_decoded(text: str) -> str:
    if "%u" in text or "%U" in text:
        text = _PERCENT.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[0], text)
    pieces = text.encode("utf-8", "surrogatepass").split(b"%")
    if len(pieces) == 1:
        return text
    out = [pieces[0]]
    for piece in pieces[1:]:
        byte = _BYTES.get(piece[:2])
        out.append(b"%" + piece if byte is None else byte + piece[2:])
    return lenient(b"".join(out))


_BYTES = {
    f"{a}{b}".encode(): bytes([int(f"{a}{b}", 16)])
    for a in "0123456789abcdefABCDEF"
    for b in "0123456789abcdefABCDEF"
}
# Too long a form of one byte below 0x80, also with trail bytes that are none (%c0%2e), as dotdotpwn and IIS's Unicode bug
# have it.
_OVERLONG = re.compile(
    rb"[\xc0\xc1]([\x00-\xff])|\xe0[\x80\x81\x40\x41]([\x80-\xbf])|\xf0\x80[\x80\x81]([\x80-\xbf])"
    rb"|\xf8\x80\x80[\x80\x81]([\x80-\xbf])|\xfc\x80\x80\x80[\x80\x81]([\x80-\xbf])"
)


def lenient(data: bytes) -> str:
    """UTF-8 as the most lenient decoder reads it; what is none is read as Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        data = _OVERLONG.sub(_shortened, data)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")


def _shortened(match: re.Match[bytes]) -> bytes:
    lead = match[0][-2]
    trail = match[0][-1]
    high = (lead & 1) << 6
    value = high | (trail & 0x3F)
    if trail < 0x80 and (value < 0x20 or not high):
        value = trail
    return bytes([value & 0x7F])


def _escaped(match: re.Match[str]) -> str:
    if match[4]:
        return chr(int(match[4], 8))
    value = int(match[1] or match[2] or match[3], 16)
    return chr(value) if value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else match[0]


def _spelled(match: re.Match[str]) -> str:
    text = bytes.fromhex(match[1]).replace(b"\0", b"")
    return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else match[0]


def _utf7(match: re.Match[str]) -> str:
    try:
        return match[0].encode("ascii").decode("utf-7")
    except UnicodeDecodeError:
        return match[0]


def _compatible(text: str) -> str:
    # In pieces: one character can become eighteen.
    pieces, length = [], 0
    for start in range(0, len(text), _PIECE):
        piece = unicodedata.normalize("NFKC", text[start : start + _PIECE]).translate(_FOLDS)
        pieces.append(piece)
        length += len(piece)
        if length >= MAX_LENGTH:
            break
    text = "".join(pieces)[:MAX_LENGTH]
    return _INVISIBLE.sub("", text)
