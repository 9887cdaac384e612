"""What the bench says of a figure, and that rounds take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import psutil
import pytest
import typer

from include.bench import command
from include.bench.figures import Figure, Peer, by_turns
from include.bench.many_rules import RULES
from include.bench.rulebooks import FEATURES, rulebook
from include.bench.submit import BenchError
from include.bench.usage import cpu_seconds, memory_bytes
from include.fraud.replay import judge_log
from include.fraud.rulebook import parse_rules
from include.generators.population import Population
from include.generators.transactions import TransactionSource
from include.quality.columns import VALID, with_outcome
from tests.support.judging import classify_records
from tests.support.records import in_bronze


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


@pytest.mark.parametrize("count", RULES)
def test_the_rules_of_the_bench_are_as_many_as_it_says_and_seldom_fire(count: int) -> None:
    rules = parse_rules(rulebook(count), "bench")
    assert (len(rules.rules), len(rules.features)) == (count, len(FEATURES))
    asked = {name for rule in rules.rules for name in rule.condition.names}
    assert count < 50 or asked >= {*FEATURES, "merchant.category", "merchant.country_code"}
    moments = iter(datetime(2026, 1, 30, 12, 0, second, tzinfo=UTC) for second in range(20))
    population = Population(42, 500, 100)
    source = TransactionSource(population, run_id="bench", fraud_share=0.02, clock=lambda: next(moments))
    values = [one.sent[1] for _ in range(20) for one in source.take(100)]
    transactions = with_outcome(classify_records(in_bronze(*one) for one in enumerate(values)), VALID)
    scores = judge_log(transactions, rules, {})["score"].to_pylist()
    assert len(scores) == 2_000
    assert 0 < sum(score > 0 for score in scores) < 60


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
    monkeypatch.setattr(command, "STARTING", {"stack": fail, "other": lambda _rounds: well, "cold-up": fail})
    with pytest.raises(typer.Exit) as ended:
        command.bench_command("all", rounds=1, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (ended.value.exit_code, found["failed"]) == (1, {"stack": "no stack"})
    assert [figure["met"] for figure in found["figures"]] == [True]
