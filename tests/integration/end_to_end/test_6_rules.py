"""Rules are changed: tried, asked for, rejected, approved, and in use without a restart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from include.domains import CHECKPOINTS_BUCKET
from include.fraud.rulebook import RULES_FILE, load_rules
from include.lake.s3 import s3_client
from tests.support.stack import Traffic
from tests.support.story import FLOW_SECONDS, Story
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

PROMOTION = "rules_promotion"
IN_USE = "SELECT version, promoted_by, approved_in, approved_at, note FROM ops.rules_promotion ORDER BY number DESC"


def of_run(story: Story, run: str, path: str = "") -> Any:
    return story.airflow.get(f"dags/{PROMOTION}/dagRuns/{run}{path}")


def asked(story: Story, path: Path) -> tuple[str, dict[str, Any]]:
    """Ask for a file to be promoted; the run, and what somebody sees who is to approve it."""
    said = story.stack.paylake("rules", "promote", str(path), "--note", "stricter")
    assert said.returncode == 0, said.stderr
    assert f"/dags/{PROMOTION}/runs/" in said.stdout
    (run,) = story.airflow.unfinished(PROMOTION)
    run_id = run["dag_run_id"]
    waiting = f"dags/{PROMOTION}/dagRuns/{run_id}/hitlDetails"
    wait_until(
        lambda: story.airflow.get(waiting)["hitl_details"],
        lambda: f"the question, not {of_run(story, run_id, '/taskInstances')}",
        FLOW_SECONDS,
        pause=0.5,
    )
    return run_id, story.airflow.get(waiting)["hitl_details"][0]


def answer(story: Story, run: str, option: str) -> dict[str, str]:
    """Answer as Airflow's user, and wait for the run's end; how each of its tasks ended."""
    said = story.airflow.patch(
        f"dags/{PROMOTION}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails", {"chosen_options": [option]}
    )
    assert said.status_code == 200, said.text
    wait_until(
        lambda: of_run(story, run)["state"] in ("success", "failed"),
        lambda: f"the end of the run, not {of_run(story, run, '/taskInstances')}",
        FLOW_SECONDS,
        pause=0.5,
    )
    tasks = of_run(story, run, "/taskInstances")["task_instances"]
    return {task["task_id"]: task["state"] for task in tasks}


def test_rules_are_promoted_by_who_approves_them_in_airflow_and_nobody_else(story: Story, tmp_path: Path) -> None:
    text = RULES_FILE.read_text(encoding="utf-8")
    path = tmp_path / "strict.yaml"
    # What `Traffic` sends is dear by these.
    text = text.replace(f'version: "{load_rules(RULES_FILE).version}"', 'version: "strict"')
    path.write_text(text.replace('limit: "100000"', 'limit: "1"'), encoding="utf-8")
    (driver,) = story.stack.drivers()
    before = story.rows(IN_USE)

    run, question = asked(story, path)
    assert "strict" in question["subject"]
    for shown in ("stricter", '+version: "strict"', '+    parameters: {limit: "1"}', "| `huge_amount` |"):
        assert shown in question["body"], question["body"]
    assert answer(story, run, "Reject") == {
        "check": "success",
        "back_test": "success",
        "approve": "success",
        "promote": "skipped",
    }
    assert story.rows(IN_USE) == before

    run, question = asked(story, path)
    assert set(answer(story, run, "Approve").values()) == {"success"}
    ((version, who, approved_in, approved_at, note),) = story.rows(IN_USE) - before
    assert (version, who, approved_in, note) == ("strict", "admin", run, "stricter")
    detail = of_run(story, run, "/hitlDetails")["hitl_details"][0]
    assert approved_at == datetime.fromisoformat(detail["responded_at"])
    assert detail["responded_by_user"]["name"] == "admin"
    with Traffic(story.settings, prefix="TR") as traffic:
        judged = "SELECT 1 FROM fraudtransaction WHERE rules_version = 'strict' AND txn_id LIKE 'TR%' LIMIT 1"
        wait_until(
            lambda: story.rows(judged) == {(1,)},
            "a fraud by the new rules",
            60,
            pause=0.2,
        )
        assert not traffic.refused
    assert story.stack.drivers() == [driver], "without a restart"
    listed = story.stack.paylake("rules", "list").stdout
    newest = next(line for line in listed.splitlines() if "manual" in line)
    assert ("in use" in newest, "strict" in newest) == (True, True)


def test_a_back_test_of_the_rules_in_use_leaves_its_result_and_a_picture(story: Story) -> None:
    assert story.airflow.run("rules_backtest") == "success"
    (run,) = story.airflow.get("dags/rules_backtest/dagRuns", limit=1, order_by="-id")["dag_runs"]
    path = f"dags/rules_backtest/dagRuns/{run['dag_run_id']}/taskInstances/back_test/xcomEntries/return_value"
    result = story.airflow.get(path, deserialize=True)["value"]
    assert (result["rules_version"], result["different"]) == ("strict", 0)
    assert result["same_version"] > 0
    assert result["picture"].startswith(f"s3://{CHECKPOINTS_BUCKET}/backtests/rules_backtest-")
    key = result["picture"].removeprefix(f"s3://{CHECKPOINTS_BUCKET}/")
    body = s3_client(story.settings).get_object(Bucket=CHECKPOINTS_BUCKET, Key=key)["Body"].read()
    assert body.startswith(b"\x89PNG")
    assert story.airflow.run("rules_backtest", {"sinse": "2026-01-01"}) == "failed", "a misspelt parameter"
