"""The live page in a real browser, before a real mesh."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.harness import Mesh, Process, free_port
from usher.ingest.v1 import keys_pb2, keys_pb2_grpc

ORIGINAL = Path(__file__).parents[1] / "data" / "original" / "event.json"
PROBE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


class Page:
    """The page, opened and connected."""

    def __init__(self, browser: webdriver.Chrome, address: str, *, live: bool = True) -> None:
        self.browser = browser
        browser.get_log("browser")
        browser.get(address)
        if live:
            self.until_live()

    def until_live(self) -> None:
        self.until(lambda: self.of("connection").get_attribute("data-state") == "live", 60)

    def of(self, element_id: str) -> WebElement:
        return self.browser.find_element(By.ID, element_id)

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def until(self, true: Callable[[], Any], seconds: float = 20) -> Any:
        # What was found may be drawn anew before it is read.
        patient = WebDriverWait(
            self.browser,
            seconds,
            poll_frequency=0.1,
            ignored_exceptions=(StaleElementReferenceException,),
        )
        return patient.until(lambda _: true())

    def first_row(self) -> str:
        """The text of the newest decision's button, found and read at one moment."""
        return str(
            self.browser.execute_script("return document.querySelector('#rows button')?.textContent ?? ''")
        ).strip()

    def open_first_row(self) -> None:
        """Clicks the newest decision, found and clicked at one moment."""
        self.browser.execute_script("document.querySelector('#rows button').click()")
        self.until(lambda: self.of("detail").is_displayed())

    def send_sample(self) -> None:
        """Sends the sample traffic and waits until all of it has arrived, so that the list stands still afterwards."""
        before = self.counted()
        self.of("send").click()
        self.until(lambda: "sent:" in self.of("sent").text)
        sent = int(re.search(r"(\d+) events? sent", self.of("sent").text)[1])  # type: ignore[index]
        self.until(lambda: self.counted() == before + sent)

    def event(self) -> dict[str, Any]:
        return json.loads(self.of("event").get_property("value"))

    def type(self, text: str) -> None:
        self.browser.execute_script("arguments[0].value = arguments[1]", self.of("event"), text)

    def ask(self) -> list[WebElement]:
        """Sends the form and returns the cards that answer it."""
        self.browser.execute_script("document.getElementById('answers').replaceChildren()")
        self.of("decide").click()
        return self.until(lambda: self.all("#answers .answer"))

    def counted(self) -> int:
        """Decisions in the four tiles."""
        return sum(int(tile.text.replace(",", "")) for tile in self.all("#tiles dd"))

    def complaints(self) -> list[str]:
        """What the browser's console holds since the page was opened."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.browser.get_log("browser")]


@pytest.fixture
def page(chromium: webdriver.Chrome, mesh: Mesh) -> Iterator[Page]:
    chromium.set_window_size(1280, 900)
    yield Page(chromium, mesh.http)
    chromium.get("about:blank")


def test_it_loads_without_a_complaint(page: Page) -> None:
    assert page.browser.title == "Usher: live"
    page.until(lambda: "received" in page.of("books").text or "no books" in page.of("books").text)
    assert not page.of("away").is_displayed()
    assert page.complaints() == []


def test_drift_is_told_when_asked_for(page: Page) -> None:
    panel = page.of("drift-panel")
    assert page.of("drift").text == ""
    panel.find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: "rows counted, and 2,000 are needed" in page.of("drift").text, 60)
    assert page.complaints() == []


def test_drift_is_drawn_as_a_table(page: Page) -> None:
    """What the panel makes of an answer, without the 8,000 events that a real one takes."""
    answer = {
        "policy_set": "ps_1",
        "rows": "3000",
        "has_snapshot": True,
        "columns": [
            {"name": "events_1h", "psi": 0.4},
            {"name": "score:<b>", "psi": 0.12},
            {"name": "hour_sin", "psi": 0.01},
        ],
    }
    rows = page.browser.execute_async_script(
        "const [answer, done] = arguments;"
        "import('/static/live/panels.js').then((panels) => {"
        "  const place = document.createElement('div');"
        "  place.append(...panels.drift(answer));"
        "  done([...place.querySelectorAll('tbody tr')].map((row) => row.textContent)); });",
        answer,
    )
    assert rows == ["events 1h moved much0.400", "score:<b> moved0.120", "hour sin 0.010"]
    assert page.complaints() == []


def test_the_form_begins_with_the_original_sample(page: Page) -> None:
    event = page.event()
    moment = datetime.fromisoformat(event.pop("timestamp"))
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert re.fullmatch(r"evt_[0-9a-f]{20}", event.pop("event_id"))
    original = json.loads(ORIGINAL.read_text())
    del original["timestamp"], original["event_id"]
    assert event == original


def test_both_answers_stand_side_by_side(page: Page) -> None:
    act, processing = page.ask()
    assert act.find_element(By.CLASS_NAME, "question").text == "May the act go ahead?"
    assert "ALLOW" in act.text
    assert processing.find_element(By.CLASS_NAME, "question").text == "May its data be processed?"
    for expected in (
        "Not for everything",
        "art. 6(1)(a)",
        "every purpose based on consent",
        "privacy.purpose",
        "privacy.legal_basis_claimed",
        "has_consent=false",
        "region=NL",
    ):
        assert expected in processing.text
    # Both at one moment: rows that arrive above meanwhile push them down.
    tops = page.browser.execute_script(
        "return [...arguments].map(answer => answer.getBoundingClientRect().top)", act, processing
    )
    assert tops[0] == tops[1]
    assert page.complaints() == []


def test_under_contract_nothing_is_suppressed(page: Page) -> None:
    Select(page.of("preset")).select_by_index(1)
    assert page.event()["privacy"] == {"purpose": "basic_service", "legal_basis_claimed": "contract"}
    act, processing = page.ask()
    assert act.find_element(By.CLASS_NAME, "headline").text.startswith("Yes")
    assert processing.find_element(By.CLASS_NAME, "headline").text == "Yes"
    assert "suppressed" not in processing.find_element(By.CLASS_NAME, "headline").text


def test_a_repeat_shows_the_first_answer_and_other_content_a_conflict(page: Page) -> None:
    page.ask()
    page.ask()
    assert "this is the first answer" in page.of("answers").text
    page.type(json.dumps({**page.event(), "content_id": "movie_1"}))
    (refused,) = page.ask()
    assert "EVENT_ID_REUSED" in refused.text
    page.of("fresh").click()
    assert len(page.ask()) == 2


def test_the_keyboard_is_enough(page: Page) -> None:
    page.of("event").send_keys(Keys.CONTROL, Keys.ENTER)
    page.until(lambda: len(page.all("#answers .answer")) == 2)

    def opened() -> bool:
        page.all("#rows button")[0].send_keys(Keys.ENTER)
        return page.of("detail").is_displayed()

    page.until(lambda: page.first_row())
    page.until(opened)
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.of("detail").is_displayed())


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null"])
def test_what_is_no_event_is_not_sent(page: Page, text: str) -> None:
    page.type(text)
    page.of("decide").click()
    assert page.of("event-error").text != ""
    assert page.of("event").get_attribute("aria-invalid") == "true"
    assert page.all("#answers .answer") == []


def test_every_error_of_an_event_is_named(page: Page) -> None:
    page.type(json.dumps({**page.event(), "user_id": "", "ip_address": "300.1.1.1"}))
    (refused,) = page.ask()
    assert "user_id" in refused.text
    assert "ip_address" in refused.text
    assert "failed_" in refused.text


def test_hostile_text_is_shown_as_text(page: Page) -> None:
    hostile = {"user_agent": PROBE, "extra_metadata": {"note": PROBE}}
    event = {**page.event(), **hostile}
    page.type(json.dumps(event))
    assert len(page.ask()) == 2
    page.until(lambda: event["event_id"] in page.of("rows").text)
    page.open_first_row()
    shown = page.until(lambda: page.all("#detail pre"))[0].text
    assert json.loads(shown)["user_agent"] == PROBE
    page.of("detail-close").click()
    # Where it may not stand the event is failed, and the error tells it as text, too.
    page.type(json.dumps({**event, "subscription_plan": "<b>bold</b>", "extra_metadata": {PROBE: PROBE}}))
    (refused,) = page.ask()
    assert "failed_" in refused.text
    page.type(json.dumps({**event, "event_id": PROBE, "event_type": PROBE, PROBE: 1}))
    (refused,) = page.ask()
    assert "event_id" in refused.text
    assert page.all("#answers img, #answers script, #answers b, #detail img, #rows img") == []
    assert page.browser.title == "Usher: live"


@pytest.mark.parametrize(
    ("script", "refused"),
    [
        ("document.body.innerHTML = '<b>x</b>'", "TrustedHTML"),
        ("document.createElement('img').setAttribute('onerror', 'x()')", "TrustedScript"),
        ("document.createElement('script').text = 'x()'", "TrustedScript"),
        ("document.createElement('script').src = 'https://example.org/x.js'", "TrustedScriptURL"),
    ],
)
def test_text_cannot_become_markup_or_script(page: Page, script: str, refused: str) -> None:
    """Even a mistake in our own script could not make an element or a handler of hostile text."""
    with pytest.raises(JavascriptException, match=refused):
        page.browser.execute_script(script)


def test_sample_traffic_arrives_in_list_counts_and_books(page: Page) -> None:
    before = page.counted()
    rows = len(page.all("#rows tr"))
    page.of("send").click()
    page.until(lambda: "sent:" in page.of("sent").text)
    sent = int(re.search(r"(\d+) events? sent", page.of("sent").text)[1])
    assert "failed" not in page.of("sent").text
    page.until(lambda: page.counted() == before + sent)
    page.until(lambda: len(page.all("#rows tr")) == min(100, rows + sent))
    page.until(lambda: len(page.all("#books .identity .badge[data-kind=good]")) == 2)
    assert len(page.all("#services li")) == 3
    assert {"check and receipts", "scoring"} <= {cell.text for cell in page.all("#stages tbody th")}
    assert page.complaints() == []


def test_the_list_can_be_held(page: Page) -> None:
    page.send_sample()
    page.of("hold").click()
    first = page.first_row()
    assert first
    before = page.counted()
    page.of("fresh").click()
    page.ask()
    page.until(lambda: page.counted() > before)
    assert page.first_row() == first
    page.of("hold").click()
    assert page.first_row() == page.event()["event_id"]


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    try:
        page.of("send").click()
        page.until(lambda: page.all("#rows tr"))
        page.type(json.dumps({**page.event(), "user_id": "x" * 255, "session_id": "y" * 255}))
        page.ask()
        page.until(lambda: "x" * 255 in page.of("rows").text)
        script = "return [document.documentElement.scrollWidth, window.innerWidth]"
        scroll, inner = page.browser.execute_script(script)
        assert inner == width
        assert scroll <= width
        page.open_first_row()
        page.until(lambda: page.all("#detail pre"))
        wide = page.browser.execute_script(
            "const d = arguments[0]; return d.scrollWidth - d.clientWidth", page.of("detail")
        )
        assert wide <= 0
        assert page.of("detail").size["width"] <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_says_when_the_mesh_is_away_and_goes_on_when_it_is_back(page: Page, mesh: Mesh) -> None:
    page.of("keep").click()
    page.until(lambda: page.all("#rows tr"))
    listed = len(page.all("#rows tr"))
    mesh.process("ingest").stop(signal.SIGKILL)
    try:
        page.until(lambda: page.of("away").is_displayed())
        assert "does not answer" in page.of("away-text").text
        assert page.of("connection").text == "Not connected"
        assert page.of("keep").get_attribute("aria-pressed") == "false"
        assert len(page.all("#rows tr")) >= listed
        (refused,) = page.ask()
        assert "The mesh is away" in refused.text
    finally:
        mesh.start("ingest")
    page.until(lambda: page.of("connection").get_attribute("data-state") == "live")
    page.until(lambda: not page.of("away").is_displayed())
    page.of("fresh").click()
    assert len(page.ask()) == 2
    page.until(lambda: page.event()["event_id"] in page.of("rows").text)


def test_a_service_that_is_away_is_told(page: Page, mesh: Mesh) -> None:
    mesh.process("fraud").stop(signal.SIGKILL)
    try:
        act, _ = page.ask()
        assert "Decided without fraud" in act.text
        page.until(lambda: "does not answer" in page.all("#services [data-service=fraud]")[0].text)
    finally:
        mesh.start("fraud")


@pytest.fixture
def locked(mesh: Mesh) -> Iterator[str]:
    """The address of a second gateway before the same mesh, which asks for keys."""
    port = free_port()
    env = {
        **mesh.process("gateway").env,
        "USHER_GATEWAY_KEYS_REQUIRED": "true",
        "USHER_GATEWAY_PORT": str(port),
    }
    address = f"http://127.0.0.1:{port}"
    gateway = Process("locked", "gateway", mesh.run / "none", env, mesh.folder / "locked.log", address)
    gateway.start()
    try:
        gateway.wait_serving()
        yield address
    finally:
        gateway.stop()


def test_where_keys_are_required_it_asks_for_one(chromium: webdriver.Chrome, mesh: Mesh, locked: str) -> None:
    with mesh.ingest() as front:
        stub = keys_pb2_grpc.KeyServiceStub(front.channel)
        rights = [keys_pb2.KEY_RIGHT_READ, keys_pb2.KEY_RIGHT_DECIDE]
        made = stub.CreateKey(keys_pb2.CreateKeyRequest(tenant="dev", name="page", rights=rights), timeout=20)
    page = Page(chromium, locked, live=False)
    page.until(lambda: page.of("sign-in").is_displayed(), 60)
    assert not page.of("sign-out").is_displayed()
    assert not page.of("away").is_displayed()

    def enter(key: str) -> None:
        page.of("key").send_keys(key, Keys.ENTER)

    enter("usk_wrong")
    page.until(lambda: "KEY_INVALID" in page.of("sign-in-text").text, 60)
    enter(made.secret)
    page.until_live()
    assert not page.of("sign-in").is_displayed()
    assert page.of("key").get_property("value") == ""
    page.send_sample()
    page.until(lambda: page.first_row() != "", 60)
    page.until(lambda: "decided" in page.of("books").text.lower(), 60)

    # The tab keeps it; the address and what other tabs see do not.
    chromium.refresh()
    page.until_live()
    assert made.secret not in chromium.current_url
    assert chromium.execute_script("return localStorage.length") == 0
    page.of("sign-out").click()
    page.until(lambda: page.of("sign-in").is_displayed(), 60)
    assert chromium.execute_script("return sessionStorage.length") == 0
    chromium.get("about:blank")
