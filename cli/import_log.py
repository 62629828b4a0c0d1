"""`usher import-log`: a web or CDN access log, common or combined format, into events.

The mapping is told in docs/cli.md. The file is read twice, so that memory stays bounded: once for its
digest and its newest time, once for the events; what cannot be read twice (stdin, a pipe) is spooled to a
temporary file first.

Format: https://httpd.apache.org/docs/2.4/mod/mod_log_config.html ("Common Log Format", "Combined Log
Format").
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import orjson

from cli.console import UnusableError, say

UNKNOWN_REGION = "ZZ"
"""ISO 3166-1 keeps ZZ for users; here it says that the log does not tell where the viewer is."""

MAX_LINE_BYTES = 65_536
MAX_USER_AGENT_CHARS = 1024
MAX_TEXT_CHARS = 2048
"""Longest path and referrer that are kept."""
_SHOWN_PROBLEMS = 100
_DAY = datetime.timedelta(days=1)


def _split(words: str) -> list[str]:
    return words.split()


_LINE = re.compile(
    r"(?P<host>\S+) (?P<ident>\S+) (?P<user>.+?) \[(?P<time>[^\]]{1,40})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<size>\d{1,16}|-)'
    r'(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"?.*)?\s*'
)
_TIME = re.compile(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})")
_REQUEST = re.compile(r"(?P<method>[A-Z]{1,20}) (?P<path>\S+)(?: (?P<protocol>HTTP/\d(?:\.\d)?))?")
_ESCAPE = re.compile(r'\\(?:(["\\])|x([0-9a-fA-F]{2}))')
# Not from the locale: a log is written in English whatever the reader speaks.
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1
    )
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")

_WHOLE_MEDIA = frozenset(
    _split("mp4 m4v webm mkv mov avi flv mpg mpeg ogv wmv mp3 m4a aac ogg oga opus flac wav")
)
_MANIFESTS = frozenset(_split("m3u8 mpd ism f4m"))
_SEGMENTS = frozenset(_split("ts m4s m4f cmfv cmfa vtt"))
_ARCHIVES = frozenset(_split("zip gz tgz bz2 xz 7z rar tar iso dmg exe msi apk deb rpm jar pkg bin img"))
_LOGIN = frozenset({"login", "signin", "sign-in", "sign_in", "log-in"})
_LOGOUT = frozenset({"logout", "signout", "sign-out", "sign_out", "log-out"})


class Entry(NamedTuple):
    """One line of a log."""

    address: str
    user: str
    """The authenticated user as the server logged it; empty: none."""
    time: datetime.datetime
    request: str
    """The request line as logged."""
    method: str
    """Empty where the request line is no HTTP request."""
    path: str
    """With its query."""
    status: int
    """0: the log does not tell."""
    size: int | None
    """Bytes of the body sent; None: the log does not tell."""
    referrer: str
    agent: str


class LineError(Exception):
    """A line that is no entry; the text says what is wrong with it, without the line's own words."""


def parse_line(line: str) -> Entry:
    """Reads one line. Raises LineError."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise LineError("is neither common nor combined log format")
    try:
        address = ipaddress.ip_address(match["host"])
    except ValueError:
        raise LineError("does not begin with an IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise LineError("begins with an address of one link (a zone id), which names nobody elsewhere")
        # A dual-stack server logs IPv4 viewers in this form; it is the same address.
        text = str(address.ipv4_mapped or address)
    else:
        text = str(address)
    request = _unescape(match["request"])
    parts = _REQUEST.fullmatch(request)
    return Entry(
        address=text,
        user=_field(match["user"]),
        time=parse_log_time(match["time"]),
        request=request,
        method=parts["method"] if parts else "",
        path=parts["path"] if parts else "",
        status=0 if match["status"] == "-" else int(match["status"]),
        size=None if match["size"] == "-" else int(match["size"]),
        referrer=_field(match["referrer"] or ""),
        agent=_field(match["agent"] or ""),
    )


@lru_cache(maxsize=1024)
def parse_log_time(text: str) -> datetime.datetime:
    """Reads `17/May/2015:10:05:03 +0000`; returns it in UTC. Raises LineError."""
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise LineError("has a time that is not day/Mon/year:hour:minute:second ±hhmm")
    day, month, year = int(match[1]), _MONTHS[match[2]], int(match[3])
    offset = datetime.timedelta(hours=int(match[8]), minutes=int(match[9]))
    try:
        local = datetime.datetime(
            year, month, day, int(match[4]), int(match[5]), int(match[6]), tzinfo=datetime.UTC
        )
        return local - offset if match[7] == "+" else local + offset
    except (ValueError, OverflowError):
        raise LineError("has a time that no calendar has") from None


def parse_target_time(text: str, now: datetime.datetime) -> datetime.datetime:
    """Reads the TIME of `--shift-to`: now, today, a date (its beginning, UTC) or RFC 3339. Raises
    UnusableError.
    """
    if text.lower() in ("now", "today"):
        return now
    try:
        # fromisoformat reads more than RFC 3339; a time without an offset could be anybody's and is refused
        # below.
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UnusableError(
            f"--shift-to {text!r} is no time: write now, today, 2026-11-01 or 2026-11-01T12:00:00Z"
        ) from None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return time.replace(tzinfo=datetime.UTC)
    if time.tzinfo is None:
        raise UnusableError(f"--shift-to {text!r} has no offset: add Z for UTC, or +hh:mm")
    return time.astimezone(datetime.UTC)


def whole_days(newest: datetime.datetime, target: datetime.datetime) -> datetime.timedelta:
    """Returns the whole days by which `newest` moves to the last moment at or before `target`; may be
    negative.
    """
    return (target - newest) // _DAY * _DAY


def event_type(entry: Entry) -> tuple[str, str]:
    """Returns (event type, error code) of an entry; the error code is empty where there is no error."""
    error_code = f"http_{entry.status}" if entry.status >= 400 else ""
    if entry.status in (401, 403):
        return "login_failed", error_code
    if error_code:
        return "error", error_code
    path = entry.path.partition("?")[0].lower()
    segments = frozenset(path.split("/"))
    if entry.method == "POST" and segments & _LOGIN:
        return "login", ""
    if segments & _LOGOUT:
        return "logout", ""
    if entry.method == "GET" and entry.status in (200, 206, 304):
        extension = path.rpartition("/")[2].rpartition(".")[2]
        if extension in _WHOLE_MEDIA or extension in _MANIFESTS:
            return "play", ""
        if extension in _SEGMENTS:
            return "heartbeat", ""
        if extension in _ARCHIVES:
            return "download", ""
    return "access", ""


def to_event(entry: Entry, *, import_id: str, number: int, shift: datetime.timedelta) -> dict[str, Any]:
    """Returns the event of an entry, as the JSON that `usher decide` reads. `number` is the line's, from 1.

    Raises LineError where the shifted time is outside of the years an event may have.
    """
    kind, error_code = event_type(entry)
    try:
        time = entry.time + shift
    except OverflowError:
        raise LineError("would be moved beyond the calendar") from None
    if not 1970 <= time.year <= 2100:
        raise LineError(f"would lie in the year {time.year}: an event's lies between 1970 and 2100")
    metadata: dict[str, Any] = {"status": entry.status} if entry.status else {}
    if entry.method:
        metadata["method"] = entry.method
        _put(metadata, "path", entry.path, MAX_TEXT_CHARS)
    else:
        _put(metadata, "request", entry.request, MAX_TEXT_CHARS)
    if entry.referrer:
        _put(metadata, "referrer", entry.referrer, MAX_TEXT_CHARS)
    event: dict[str, Any] = {
        "event_id": f"{import_id}-{number}",
        "user_id": _pseudonym("viewer", entry.user or entry.address),
        "device_id": _pseudonym("device", entry.address, entry.agent),
        "event_type": kind,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": UNKNOWN_REGION,
        "ip_address": entry.address,
        "origin": "import",
        "import_id": import_id,
    }
    path = entry.path.partition("?")[0]
    if kind in ("play", "heartbeat", "download") and _IDENTIFIER.fullmatch(path):
        event["content_id"] = path
    if error_code:
        event["error_code"] = error_code
    if entry.size is not None:
        event["data_volume_bytes"] = entry.size
    if entry.agent:
        event["user_agent"] = entry.agent[:MAX_USER_AGENT_CHARS]
        if len(entry.agent) > MAX_USER_AGENT_CHARS:
            metadata["user_agent_cut_from"] = len(entry.agent)
    event["extra_metadata"] = metadata
    return event


def import_file(name: str, shift_to: str | None) -> bool:
    """Writes the events of a log to stdout; returns whether every line was read.

    Raises UnusableError where the log cannot be read at all or `shift_to` is no time.
    """
    target = None if shift_to is None else parse_target_time(shift_to, datetime.datetime.now(datetime.UTC))
    with twice_readable(name) as file:
        digest, newest = _survey(file, wants_newest=target is not None)
        shift = (
            whole_days(newest, target) if newest is not None and target is not None else datetime.timedelta()
        )
        import_id = f"log-{digest[:16]}"
        file.seek(0)
        counts = _Counts()
        output = sys.stdout.buffer
        for number, line in _lines(file):
            if isinstance(line, LineError):
                counts.bad(number, line)
                continue
            if not line:
                counts.blank += 1
                continue
            try:
                event = to_event(parse_line(line), import_id=import_id, number=number, shift=shift)
            except LineError as error:
                counts.bad(number, error)
                continue
            output.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            counts.events += 1
        output.flush()
    counts.tell(import_id, shift)
    return counts.unreadable == 0


class _Counts:
    def __init__(self) -> None:
        self.events = 0
        self.blank = 0
        self.unreadable = 0

    def bad(self, number: int, error: LineError) -> None:
        self.unreadable += 1
        if self.unreadable <= _SHOWN_PROBLEMS:
            say(f"line {number}: {error}")
        elif self.unreadable == _SHOWN_PROBLEMS + 1:
            say("further unreadable lines are counted and no longer told one by one")

    def tell(self, import_id: str, shift: datetime.timedelta) -> None:
        blank = f", {self.blank} blank" if self.blank else ""
        moved = f", times moved by {shift.days} days" if shift else ""
        total = self.events + self.unreadable + self.blank
        say(f"{import_id}: {total} lines, {self.events} events, {self.unreadable} unreadable{blank}{moved}")


def _survey(file: BinaryIO, *, wants_newest: bool) -> tuple[str, datetime.datetime | None]:
    """Returns the file's SHA-256 and, where wanted, the newest time of its readable lines."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    newest: datetime.datetime | None = None
    if wants_newest:
        file.seek(0)
        for _, line in _lines(file):
            if isinstance(line, LineError) or not line:
                continue
            try:
                time = parse_line(line).time
            except LineError:
                # Told, with its number, when the events are made.
                continue
            newest = time if newest is None else max(newest, time)
    return digest.hexdigest(), newest


def _lines(file: BinaryIO) -> Iterator[tuple[int, str | LineError]]:
    """Yields (number from 1, text without its end); a LineError for a line that is too long to be one."""
    number = 0
    while data := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(data) > MAX_LINE_BYTES:
            while data and not data.endswith(b"\n"):
                data = file.readline(MAX_LINE_BYTES)
            yield number, LineError(f"is longer than {MAX_LINE_BYTES} bytes")
            continue
        yield number, data.decode("utf-8", "backslashreplace").rstrip("\r\n")


@contextmanager
def twice_readable(name: str) -> Iterator[BinaryIO]:
    """A file that can be read twice ("-": stdin); what cannot be is spooled. Raises UnusableError."""
    if name == "-":
        with _spooled(sys.stdin.buffer) as spool:
            yield spool
        return
    try:
        file = open(name, "rb")  # noqa: SIM115
    except OSError as error:
        raise UnusableError(f"cannot read {name}: {error.strerror}") from None
    with file:
        if file.seekable():
            yield file
        else:
            with _spooled(file) as spool:
                yield spool


@contextmanager
def _spooled(source: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as spool:
        try:
            shutil.copyfileobj(source, spool, 1 << 20)
        except OSError as error:
            raise UnusableError(
                f"cannot spool the input to {tempfile.gettempdir()}: {error.strerror}"
            ) from None
        spool.seek(0)
        yield spool  # type: ignore[misc]


def _pseudonym(kind: str, *parts: str) -> str:
    """A name that is the same for the same viewer in every log. No protection: the address stands beside
    it.
    """
    digest = hashlib.blake2s(
        "\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8, person=kind.encode()
    )
    return f"{kind}_{digest.hexdigest()}"


def _field(text: str) -> str:
    """A field's text; empty for the dash that stands for nothing."""
    return "" if text == "-" else _unescape(text)


def _unescape(text: str) -> str:
    r"""Undoes \" \\ and \xhh of printable ASCII; other escapes stay as logged (control characters, other
    bytes).
    """
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return match[1]
    character = chr(int(match[2], 16))
    return character if " " <= character <= "~" else match[0]


def _put(metadata: dict[str, Any], key: str, text: str, limit: int) -> None:
    """Keeps a text, cut to `limit` characters with a note beside it that it was."""
    metadata[key] = text[:limit]
    if len(text) > limit:
        metadata[f"{key}_cut_from"] = len(text)
