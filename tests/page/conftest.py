"""A running stack with some frauds in it, and a browser that is logged in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, ConsoleMessage, Frame, Page, sync_playwright

from include.domains import MERCHANTS, TRANSACTIONS
from tests.support.records import encoded, merchant, payment
from tests.support.stack import Stack, exports, whole_stack
from tests.support.waiting import wait_until

HOSTILE = "<script>document.title = 'run'</script> \u05e9\u05dc\u05d5\u05dd"
"""Markup and another direction: what the contract lets pass in a place's name."""


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A whole stack, which has judged nine frauds of three users."""
    with whole_stack() as stack:
        producer = Producer({"bootstrap.servers": stack.settings.kafka_bootstrap_servers})
        now = datetime.now(UTC).isoformat()
        for number in (1, 2):
            value = encoded(merchant(number))
            producer.produce(MERCHANTS.topic, key=f"M{number:04}", value=value)
        for number in range(9):
            changes: dict[str, Any] = {"amount": 150_000 + number, "user_id": f"U000{number % 3 + 1}", "timestamp": now}
            changes |= {"location": HOSTILE if number == 4 else "Porto", "merchant_id": "M0001", "channel": "POS"}
            producer.produce(TRANSACTIONS.topic, key=f"U{number % 3}", value=encoded(payment(f"T{number}") | changes))
        assert producer.flush(30) == 0

        def judged() -> bool:
            with psycopg.connect(stack.settings.warehouse_dsn) as conn:
                return conn.execute("SELECT count(*) FROM fraudtransaction").fetchone() == (9,)

        wait_until(judged, "the verdicts", 300, pause=0.5)
        yield stack


@dataclass
class Looking:
    """Somebody who looks at Airflow, logged in, and what the browser complained of meanwhile."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @property
    def desk(self) -> Frame:
        """The page within Airflow's."""
        element = self.page.wait_for_selector("iframe")
        frame = element.content_frame() if element else None
        assert frame is not None
        frame.wait_for_selector("h1")
        return frame

    def note(self, message: ConsoleMessage) -> None:
        """Keep what a console says that is no matter of Airflow's own pages."""
        if message.type == "error" and "/paylake/" in message.location.get("url", ""):
            self.complaints.append(message.text)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("The suite page needs a browser: install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def looking(stack: Stack, browser: Browser) -> Iterator[Looking]:
    """A new window, logged in."""
    known = exports(stack.environment)
    context = browser.new_context(base_url=known["AIRFLOW_URL"], viewport={"width": 1400, "height": 900})
    page = context.new_page()
    looking = Looking(page)
    page.on("console", looking.note)
    page.on("pageerror", lambda error: looking.complaints.append(str(error)))
    page.goto("/")
    page.fill("input[name=username]", known["AIRFLOW_USERNAME"])
    page.fill("input[name=password]", known["AIRFLOW_PASSWORD"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    page.get_by_role("link", name="Paylake").wait_for()
    yield looking
    context.close()
    assert looking.complaints == []
