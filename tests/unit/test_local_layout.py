"""Where a stack is: homes, ports, secrets, locks."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import StackError
from include.files import write_private
from include.local.layout import CLONE, SOCKET_PATH_LIMIT, Stack, locate, locked
from include.local.ports import HOST, Ports, why_unusable
from include.local.secrets import ensure_secrets, load_secrets
from tests.support.ports import free_port_base


def stack_in(home: Path, **environment: str) -> Stack:
    return locate({"PAYLAKE_HOME": str(home), "PAYLAKE_CACHE": str(home / "cache")} | environment)


def test_everything_has_its_usual_place() -> None:
    stack = locate({"HOME": "/nowhere"})
    assert stack.home == CLONE / ".paylake"
    assert stack.ports == Ports(8080, 9000, 9001, 5432, 9092, 9093)


def test_a_start_remembers_its_ports_and_later_commands_find_them(tmp_path: Path) -> None:
    locate({"PAYLAKE_HOME": str(tmp_path / "home"), "PAYLAKE_PORT_BASE": "21000"}, starting=True).remember()
    assert stack_in(tmp_path / "home").ports == Ports.from_base(21000)


def test_a_port_base_moves_a_stack_at_its_start_only(tmp_path: Path) -> None:
    stack_in(tmp_path, PAYLAKE_PORT_BASE="21000").remember()
    elsewhere = {"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_PORT_BASE": "22000"}
    assert locate(elsewhere).ports == Ports.from_base(21000)
    assert locate(elsewhere, starting=True).ports == Ports.from_base(22000)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ports": {}, "x"', '{"ports": {"kafka": 1, "nonsense": 2}}'])
def test_a_damaged_choice_is_named(tmp_path: Path, content: str) -> None:
    stack = stack_in(tmp_path)
    stack.choice_file.write_text(content)
    with pytest.raises(StackError, match=r"stack\.json"):
        stack_in(tmp_path)


@given(st.integers(min_value=1024, max_value=65530))
def test_ports_from_a_base_are_next_to_each_other(base: int) -> None:
    assert list(astuple(Ports.from_base(base))) == list(range(base, base + 6))


@given(st.one_of(st.integers(max_value=1023), st.integers(min_value=65531)).map(str) | st.text(alphabet="abc.-_ "))
def test_a_senseless_base_is_one_sentence(text: str) -> None:
    with pytest.raises(StackError, match="PAYLAKE_PORT_BASE is"):
        Ports.from_text(text)


def test_servers_can_not_share_a_port() -> None:
    with pytest.raises(StackError, match="share a port"):
        replace(Ports(), kafka=8080)


def test_a_taken_port_is_seen() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert why_unusable(port) == "is taken by another program"
    assert why_unusable(port) is None


def test_a_port_taken_on_all_addresses_is_seen() -> None:
    with socket.create_server(("", 0)) as server:
        assert why_unusable(server.getsockname()[1]) == "is taken by another program"


def test_a_free_base_avoids_taken_ports() -> None:
    base = free_port_base()
    with socket.create_server((HOST, base + 3)):
        assert why_unusable(base + 3)
        assert free_port_base() != base


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), max_size=90))
def test_the_supervisor_socket_always_fits(name: str) -> None:
    home = Path("/") / (name.strip(".") or "home") / ("x" * 40)
    path = os.fsencode(replace(locate({"HOME": "/nowhere"}), home=home).supervisor_socket)
    assert len(path) <= SOCKET_PATH_LIMIT


def test_two_homes_never_share_a_socket() -> None:
    stack = locate({"HOME": "/nowhere"})
    long = [replace(stack, home=Path("/") / ("x" * 120) / name).supervisor_socket for name in "ab"]
    assert long[0] != long[1]


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    stack = stack_in(tmp_path)
    first = ensure_secrets(stack)
    assert ensure_secrets(stack) == first == load_secrets(stack)
    assert stack.secrets_file.stat().st_mode & 0o777 == 0o600
    assert len(set(astuple(first))) == len(astuple(first)), "no two are alike"


def test_other_stacks_have_other_secrets(tmp_path: Path) -> None:
    one, other = ensure_secrets(stack_in(tmp_path / "one")), ensure_secrets(stack_in(tmp_path / "other"))
    assert not set(astuple(one)) & set(astuple(other))


def test_a_secret_added_by_a_new_version_leaves_the_others(tmp_path: Path) -> None:
    stack = stack_in(tmp_path)
    first = ensure_secrets(stack)
    known = json.loads(stack.secrets_file.read_text())
    del known["minio_password"]
    write_private(stack.secrets_file, json.dumps(known))
    second = ensure_secrets(stack)
    assert second == replace(first, minio_password=second.minio_password)


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    stack = stack_in(tmp_path)
    stack.secrets_file.write_text("{")
    with pytest.raises(StackError, match="damaged"):
        ensure_secrets(stack)
    assert stack.secrets_file.read_text() == "{"


def test_there_are_no_secrets_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"\./paylake up"):
        load_secrets(stack_in(tmp_path))


def test_a_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "new \ud800")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_only_one_command_works_on_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, wait=False), pytest.raises(StackError, match="Another paylake command"):  # noqa: SIM117
        with locked(path, wait=False):
            pass
    with locked(path, wait=False):
        pass
