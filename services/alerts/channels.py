"""Where people are told. Each channel takes one telling at a time and raises when it could not pass it on.

At least once: a crash after a delivery and before its record repeats it, with the same telling_id, by which a reader
knows it again.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

import orjson

from services.alerts import tellings
from services.alerts.tellings import Delivery, Names
from services.common.config import ConfigError
from services.common.outbound import Answer, GuardedSender
from services.common.webhooks import key_of, signed_headers
from usher.alerts.v1 import alerts_pb2

TWILIO = "https://api.twilio.com"


class Sent(NamedTuple):
    """What the other end said to a telling that it took."""

    status: int = 0
    """HTTP or SMTP status; 0: none."""
    response: str = ""


class RefusedError(Exception):
    """The other end did not take it."""

    def __init__(self, status: int, response: str, retry_after: float | None = None) -> None:
        super().__init__(f"answered {status}")
        self.status = status
        self.response = response
        self.retry_after = retry_after
        """Seconds, where it said so."""


class Channel(Protocol):
    """A way to people."""

    @property
    def kind(self) -> str:
        """ "log", "slack", "email", "sms" or "webhook"."""
        ...

    async def deliver(self, delivery: Delivery) -> Sent:
        """Passes the telling on. Raises when it could not; it is tried again later."""
        ...


class LogChannel:
    """One JSON log line a telling, for whoever collects the logs. Names no person: users appear as a keyed hash."""

    kind = "log"

    def __init__(self, logger: logging.Logger, key: bytes) -> None:
        self._logger = logger
        self._names = Names(key, show=False)

    async def deliver(self, delivery: Delivery) -> Sent:
        level = logging.WARNING if delivery.severity >= alerts_pb2.SEVERITY_HIGH else logging.INFO
        words = "alert became graver" if delivery.change == "escalated" else f"alert {delivery.change}"
        told = tellings.to_json(delivery, self._names, "")
        told["reasons"] = list(delivery.alert.reasons)
        del told["first_event_id"]
        self._logger.log(level, words, extra=told)
        return Sent()


class HttpChannel:
    """What Slack, Twilio and webhooks share: a POST whose answer is 2xx."""

    def __init__(self, sender: GuardedSender, names: Names, link: str, timeout: float) -> None:
        self._sender = sender
        self._names = names
        self._link = link
        self._timeout = timeout

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Sent:
        answer: Answer = await self._sender.post(url, body, headers, self._timeout)
        text = answer.body.decode("utf-8", "replace")
        if not 200 <= answer.status < 300:
            raise RefusedError(answer.status, text, answer.retry_after)
        return Sent(answer.status, text)


class SlackChannel(HttpChannel):
    """An incoming webhook of Slack. Its URL is the secret."""

    kind = "slack"

    def __init__(self, sender: GuardedSender, names: Names, link: str, timeout: float, url: str) -> None:
        super().__init__(sender, names, link, timeout)
        self._url = url

    async def deliver(self, delivery: Delivery) -> Sent:
        body = orjson.dumps(tellings.slack(delivery, self._names, self._link))
        return await self._post(self._url, body, {"Content-Type": "application/json"})


class SmsChannel(HttpChannel):
    """Twilio's API of messages (https://www.twilio.com/docs/messaging/api/message-resource), one call a number.

    Twilio knows no idempotency key: after a crash in between, numbers told already are told again, with the same end
    of the telling's id.
    """

    kind = "sms"

    def __init__(
        self,
        sender: GuardedSender,
        names: Names,
        link: str,
        timeout: float,
        *,
        account: str,
        token: str,
        from_: str,
        to: Sequence[str],
        url: str,
    ) -> None:
        super().__init__(sender, names, link, timeout)
        self._url = f"{url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        basic = base64.b64encode(f"{account}:{token}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._from = from_
        self._to = to
        self._done: dict[str, set[str]] = {}

    async def deliver(self, delivery: Delivery) -> Sent:
        text = tellings.short(delivery, self._names, self._link)
        # A number that was told at an earlier try is not told again because another one failed.
        done = self._done.setdefault(delivery.telling_id, set())
        sent = Sent()
        for number in self._to:
            if number not in done:
                body = urlencode({"From": self._from, "To": number, "Body": text}).encode()
                sent = await self._post(self._url, body, self._headers)
                done.add(number)
        del self._done[delivery.telling_id]
        while len(self._done) > 1_000:
            self._done.pop(next(iter(self._done)))
        return sent


class WebhookChannel(HttpChannel):
    """A signed call (docs/webhooks.md)."""

    kind = "webhook"

    def __init__(
        self,
        sender: GuardedSender,
        names: Names,
        link: str,
        timeout: float,
        *,
        url: str,
        keys: Sequence[bytes],
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(sender, names, link, timeout)
        self._url = url
        self._keys = keys
        self._now = now

    async def deliver(self, delivery: Delivery) -> Sent:
        body = orjson.dumps(
            {"type": "alert.told", "data": tellings.to_json(delivery, self._names, self._link)}
        )
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "usher-alerts",
            **signed_headers(self._keys, delivery.telling_id, int(self._now()), body),
        }
        if delivery.traceparent:
            headers["traceparent"] = delivery.traceparent
        return await self._post(self._url, body, headers)


class MailSettings(NamedTuple):
    """Where mail goes out."""

    host: str
    port: int
    tls: str
    """"starttls", "implicit" or "none"."""
    username: str
    password: str
    from_: str
    to: Sequence[str]
    context: ssl.SSLContext


class MailChannel:
    """E-mail by SMTP (RFC 5321), plain text and escaped HTML. The Message-ID is the telling's, so repeats thread."""

    kind = "email"

    def __init__(self, settings: MailSettings, names: Names, link: str, timeout: float) -> None:
        self._settings = settings
        self._names = names
        self._link = link
        self._timeout = timeout
        # Of its own: a server that hangs holds these threads, and nobody else's.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="mail")

    async def deliver(self, delivery: Delivery) -> Sent:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, self.message(delivery))

    def message(self, delivery: Delivery) -> EmailMessage:
        """The mail of a telling."""
        settings = self._settings
        message = EmailMessage()
        message["Subject"] = tellings.subject(delivery)[:200]
        message["From"] = settings.from_
        message["To"] = ", ".join(settings.to)
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{delivery.telling_id}@usher>"
        message["X-Usher-Id"] = delivery.telling_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(tellings.plain(delivery, self._names, self._link))
        message.add_alternative(tellings.markup(delivery, self._names, self._link), subtype="html")
        return message

    def _send(self, message: EmailMessage) -> Sent:
        s = self._settings
        try:
            if s.tls == "implicit":
                client: smtplib.SMTP = smtplib.SMTP_SSL(
                    s.host, s.port, timeout=self._timeout, context=s.context
                )
            else:
                client = smtplib.SMTP(s.host, s.port, timeout=self._timeout)
            with client:
                if s.tls == "starttls":
                    client.starttls(context=s.context)
                if s.username:
                    client.login(s.username, s.password)
                refused = client.send_message(message)
        except smtplib.SMTPResponseException as error:
            text = error.smtp_error
            shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            raise RefusedError(error.smtp_code, shown) from error
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise RefusedError(code, text.decode("utf-8", "replace")) from error
        if refused:
            # Some took it, and would get it again: it counts as delivered, and the log says who did not.
            return Sent(250, f"{len(refused)} of {len(s.to)} recipients were refused")
        return Sent(250)


def open_channels(
    rules: Mapping[str, Mapping[str, Any]],
    *,
    logger: logging.Logger,
    key: bytes,
    sender: Callable[[ssl.SSLContext | None], GuardedSender],
    timeout: float,
) -> dict[str, Channel]:
    """Makes the channels that the rules configure, with their secrets read from files.

    `sender` gives a guarded sender for a TLS context (None: the system's). Raises ConfigError with every problem.
    """
    problems: list[str] = []
    channels: dict[str, Channel] = {}
    for name, config in rules.items():
        try:
            channels[name] = _open(config, logger, key, sender, timeout)
        except (ValueError, OSError) as error:
            problems.append(f"alerting rules, channels.{name}: {error}")
    if problems:
        raise ConfigError(problems)
    return channels


def _open(
    config: Mapping[str, Any],
    logger: logging.Logger,
    key: bytes,
    sender: Callable[[ssl.SSLContext | None], GuardedSender],
    timeout: float,
) -> Channel:
    kind = config["type"]
    names = Names(key, show=bool(config.get("show_entities", False)))
    link = str(config.get("link", ""))
    context = ssl.create_default_context(cafile=config["ca_file"]) if "ca_file" in config else None
    if kind == "slack":
        return SlackChannel(sender(context), names, link, timeout, _secret(config["url_file"]))
    if kind == "sms":
        return SmsChannel(
            sender(context),
            names,
            link,
            timeout,
            account=str(config["account"]),
            token=_secret(config["token_file"]),
            from_=str(config["from"]),
            to=config["to"],
            url=str(config.get("url", TWILIO)),
        )
    if kind == "webhook":
        keys = [key_of(_secret(path)) for path in config["secret_files"]]
        return WebhookChannel(sender(context), names, link, timeout, url=str(config["url"]), keys=keys)
    if kind == "email":
        tls = str(config.get("tls", "starttls"))
        settings = MailSettings(
            host=str(config["host"]),
            port=int(config.get("port", 465 if tls == "implicit" else 587)),
            tls=tls,
            username=str(config.get("username", "")),
            password=_secret(config["password_file"]) if "password_file" in config else "",
            from_=str(config["from"]),
            to=config["to"],
            context=context or ssl.create_default_context(),
        )
        return MailChannel(settings, names, link, timeout)
    return LogChannel(logger, key)


def _secret(path: str) -> str:
    text = Path(path).read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"{path} is empty: write the secret into it")
    return text
