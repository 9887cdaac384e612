"""``./paylake --docker status``, and what runs in containers, with a program in Docker's place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.docker import cli, compose, env_file

Say = Callable[..., None]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Let ``docker compose ps`` show these services, and ``docker compose run`` print this."""
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\ncase "$*" in *" ps "*) cat {tmp_path}/ps;; *" run "*) cat {tmp_path}/run;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(compose, "ENV_FILE", tmp_path / ".env")
    env_file.ensure(tmp_path / ".env")

    def say(services: list[dict[str, Any]], output: str = "") -> None:
        (tmp_path / "ps").write_text("".join(json.dumps(service) + "\n" for service in services))
        (tmp_path / "run").write_text(output)

    return say


def service(name: str, state: str = "running", health: str = "healthy") -> dict[str, Any]:
    more = {"Status": f"Up ({health})", "ExitCode": 1, "Publishers": None, "Labels": ""}
    return {"Service": name, "State": state, "Health": health, **more}


FLOW: dict[str, Any] = {
    "layers": [],
    "behind": [],
    "newest_verdict": None,
    "waiting": [],
    "failed_tasks": [],
    "problems": [],
}
LATE = {"check": "behind", "subject": "bronze transactions", "message": "7 records of kafka wait"}


@pytest.mark.parametrize(
    ("services", "output", "checks"),
    [
        ([service("kafka")], json.dumps(FLOW), []),
        ([service("kafka", health="unhealthy")], json.dumps(FLOW), ["process"]),
        ([service("kafka", state="exited")], json.dumps({**FLOW, "problems": [LATE]}), ["process", "behind"]),
        ([service("kafka")], "Traceback (most recent call last):", ["no_answer"]),
        ([service("kafka")], "", ["no_answer"]),
        ([service("kafka")], "[]", ["no_answer"]),
        ([service("kafka")], "7", ["no_answer"]),
        ([service("kafka")], "{}", ["no_answer"]),
        ([], "", ["no_answer"]),
    ],
)
def test_status_lists_what_is_wrong_whatever_the_container_says(
    docker: Say, capsys: pytest.CaptureFixture[str], services: list[dict[str, Any]], output: str, checks: list[str]
) -> None:
    docker(services, output)
    assert cli.main(["status", "--json"]) == (1 if checks else 0)
    found = json.loads(capsys.readouterr().out)
    assert found["well"] is not bool(checks)
    assert [problem["check"] for problem in found["problems"]] == checks
    assert [one["name"] for one in found["services"]] == [one["Service"] for one in services]


@pytest.mark.parametrize("command", [["verify"], ["generate", "reference"], ["quarantine", "list"], ["status"]])
def test_a_stack_that_does_not_run_is_told_at_once(docker: Say, command: list[str]) -> None:
    docker([] if command == ["status"] else [service("kafka", state="exited")])
    with pytest.raises(compose.DockerError, match=r"The stack does not run; \./paylake --docker up starts it"):
        cli.main(command)


def test_what_an_analyst_does_in_a_container_has_his_own_name(docker: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []

    def call(*arguments: str) -> int:
        called.append(arguments)
        return 0

    monkeypatch.setattr(compose, "call", call)
    monkeypatch.setenv("LOGNAME", "ana")
    docker([service("postgres")])
    assert cli.main(["cases", "take", "7"]) == 0
    ((*_, option, name, container, command, verb, case),) = called
    assert (option, name, container, command, verb, case) == ("--env", "LOGNAME=ana", "paylake", "cases", "take", "7")
