"""The page in Chromium, against a running stack: what it shows, what one does there, and who can use it."""

from __future__ import annotations

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.page.conftest import HOSTILE, Looking
from tests.support.stack import Stack

pytestmark = pytest.mark.long

VIEWS = ("desk", "cases", "rules", "lake")


def one(stack: Stack, sql: str) -> object:
    """The value that a query of the warehouse gives."""
    with psycopg.connect(stack.settings.warehouse_dsn) as conn:
        row = conn.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_is_in_the_navigation_and_says_what_the_warehouse_says(stack: Stack, looking: Looking) -> None:
    looking.page.get_by_role("link", name="Paylake").click()
    desk = looking.desk
    expect(desk.locator(".figure", has_text="frauds").locator("dd")).to_contain_text(
        str(one(stack, "SELECT count(*) FROM fraudtransaction"))
    )
    expect(desk.locator(".figure", has_text="cases that wait").locator("dd")).to_have_text(
        str(one(stack, "SELECT count(*) FROM cases WHERE state IN ('open', 'taken')"))
    )
    rows = desk.get_by_role("region", name="The newest first").locator("tbody tr")
    expect(rows).to_have_count(9)
    expect(rows.filter(has_text="Porto")).to_have_count(8)


def test_what_records_hold_is_text(looking: Looking) -> None:
    looking.page.goto("/plugin/paylake")
    desk = looking.desk
    cell = desk.locator("bdi", has_text="<script>").first
    expect(cell).to_have_text(HOSTILE)
    assert desk.evaluate("document.title") != "run"
    assert desk.evaluate("document.querySelectorAll('#main script').length") == 0


def test_filters_are_in_the_address_and_survive_a_reload(stack: Stack, looking: Looking) -> None:
    looking.page.goto("/plugin/paylake")
    desk = looking.desk
    desk.get_by_label("user", exact=True).fill("U0002")
    desk.get_by_role("button", name="Show").click()
    rows = "SELECT count(*) FROM fraudtransaction WHERE user_id = 'U0002'"
    listed = desk.get_by_role("region", name="The newest first").locator("tbody tr")
    expect(listed).to_have_count(int(str(one(stack, rows))))
    assert "user_id=U0002" in looking.page.url
    looking.page.reload()
    again = looking.desk
    expect(again.get_by_label("user", exact=True)).to_have_value("U0002")
    expect(again.get_by_role("region", name="The newest first").locator("tbody tr")).to_have_count(3)


def test_a_case_is_marked_from_the_keyboard_and_is_so_in_the_warehouse(stack: Stack, looking: Looking) -> None:
    looking.page.goto("/plugin/paylake?view=cases")
    desk = looking.desk
    first = desk.get_by_role("region", name="The newest alert first").locator("tbody a").first
    first.focus()
    looking.page.keyboard.press("Enter")
    heading = desk.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Case")
    number = int((heading.text_content() or "").split()[1])
    desk.get_by_role("button", name="I take it").click()
    expect(heading).to_contain_text("taken by")
    desk.get_by_label("note").fill("his card was stolen")
    desk.get_by_role("button", name="It was fraud").click()
    expect(heading).to_contain_text("confirmed")
    expect(desk.get_by_text("his card was stolen")).to_be_visible()
    assert one(stack, f"SELECT state FROM cases WHERE case_id = {number}") == "confirmed"  # noqa: S608
    who = one(stack, f"SELECT who FROM ops.case_event WHERE case_id = {number} AND what = 'marked'")  # noqa: S608
    assert who not in (None, "paylake")


def test_one_gets_from_a_fraud_to_its_user_and_back(looking: Looking) -> None:
    looking.page.goto("/plugin/paylake")
    desk = looking.desk
    desk.get_by_role("region", name="The newest first").locator("tbody a").first.click()
    expect(desk.get_by_role("heading", level=1)).to_contain_text("Transaction T")
    desk.get_by_text("every feature at its moment").click()
    expect(desk.get_by_role("region", name="Features")).to_contain_text("user_count_30d")
    desk.evaluate("history.back()")
    expect(desk.get_by_role("heading", level=1)).to_have_text("Frauds")


def test_every_view_can_be_reached_by_clicks(stack: Stack, looking: Looking) -> None:
    looking.page.goto("/plugin/paylake")
    desk = looking.desk
    tabs = desk.get_by_role("navigation", name="Paylake")
    heading = desk.get_by_role("heading", level=1)
    tabs.get_by_role("link", name="Lake").click()
    expect(heading).to_have_text("Lake")
    rows = desk.get_by_role("row").filter(has=desk.get_by_role("link", name="fraudtransaction", exact=True))
    expect(rows.first).to_contain_text(str(one(stack, "SELECT count(*) FROM fraudtransaction")), timeout=60_000)
    desk.get_by_role("link", name="processed-merchants").first.click()
    expect(heading).to_contain_text("silver/processed-merchants")
    tabs.get_by_role("link", name="Rules").click()
    expect(heading).to_have_text("Rules")
    desk.get_by_role("link", name="huge amount").first.click()
    expect(heading).to_contain_text("huge")
    tabs.get_by_role("link", name="Rules").click()
    for part in ("lists", "back-tests", "versions"):
        desk.get_by_role("link", name=part, exact=True).click()
        expect(desk.locator("[aria-current]", has_text=part)).to_be_visible()
    tabs.get_by_role("link", name="Cases").click()
    expect(heading).to_have_text("Cases")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(looking: Looking, view: str, scheme: str) -> None:
    looking.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    looking.page.goto(f"/paylake/?view={view}")
    looking.page.wait_for_selector("main h1")
    looking.page.wait_for_load_state("networkidle")
    assert looking.page.evaluate("document.documentElement.dataset.theme") == scheme
    found = Axe().run(looking.page)
    serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_it_without_scrolling_sideways(looking: Looking, view: str) -> None:
    looking.page.set_viewport_size({"width": 390, "height": 844})
    looking.page.goto(f"/paylake/?view={view}")
    looking.page.wait_for_selector("main h1")
    looking.page.wait_for_load_state("networkidle")
    wide = looking.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
