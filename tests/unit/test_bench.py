"""What the bench says of a figure, and that rounds take turns."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest
import typer

from include.bench import command
from include.bench.figures import Figure, Peer, by_turns
from include.bench.submit import BenchError
from include.bench.usage import cpu_seconds, memory_bytes


@pytest.mark.parametrize(
    ("rounds", "lower_is_better", "met"),
    [((9.0, 11.0, 30.0), False, True), ((9.0, 9.9, 30.0), False, False), ((9.0, 9.9, 30.0), True, True)],
)
def test_the_median_has_to_keep_the_limit(rounds: tuple[float, ...], lower_is_better: bool, met: bool) -> None:
    assert Figure("speed", "1/s", rounds, 10.0, lower_is_better).met is met


@pytest.mark.parametrize(("least", "met"), [(None, True), (2.0, True), (2.1, False)])
def test_a_peer_that_has_a_ratio_has_to_be_reached(least: float | None, met: bool) -> None:
    figure = Figure("speed", "1/s", (10.0,), 1.0, peers=(Peer("another", (4.0, 5.0, 6.0), least),))
    assert figure.met is met
    assert figure.as_json()["peers"][0]["ratio"] == 2.0


@pytest.mark.parametrize(("most", "met"), [(None, True), (2.0, True), (1.9, False)])
def test_a_peer_that_has_a_highest_ratio_must_not_be_passed(most: float | None, met: bool) -> None:
    peer = Peer("the same with little history", (4.0, 5.0, 6.0), most_ratio=most)
    assert Figure("cost", "s", (10.0,), lower_is_better=True, peers=(peer,)).met is met


def test_all_are_measured_in_each_round() -> None:
    measured: list[str] = []

    def run(name: str) -> float:
        measured.append(name)
        return len(measured)

    assert by_turns(2, {"one": lambda: run("one"), "other": lambda: run("other")}) == {"one": (1, 3), "other": (2, 4)}
    assert measured == ["one", "other"] * 2


def test_the_time_of_processes_that_ended_counts() -> None:
    own = [psutil.Process()]
    before = cpu_seconds(own)
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert cpu_seconds(own) - before > 0.4  # the kernel counts in hundredths


def test_what_is_gone_uses_nothing() -> None:
    command = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        measured = [psutil.Process(process.pid)]
        assert memory_bytes(measured) > 1_000_000
        process.communicate(b"\n")
    assert memory_bytes(measured) == cpu_seconds(measured) == 0


def test_what_could_not_be_measured_is_told_beside_what_could(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_rounds: int) -> list[Figure]:
        raise BenchError("no stack")

    well = [Figure("speed", "1/s", (10.0,), 1.0)]
    monkeypatch.setattr(command, "NAMES", ("stack", "other", "cold-up"))
    monkeypatch.setattr(command, "WHOLE", {"stack": fail, "other": lambda _rounds: well, "cold-up": fail})
    with pytest.raises(typer.Exit) as ended:
        command.bench_command("all", rounds=1, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (ended.value.exit_code, found["failed"]) == (1, {"stack": "no stack"})
    assert [figure["met"] for figure in found["figures"]] == [True]
