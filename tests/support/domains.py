"""Domains that the registry does not have: of a test's own, or under another contract."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from include.contracts.contract import CONTRACTS_FOLDER
from include.domains import TRANSACTIONS, Domain, Kind


@dataclass(frozen=True, slots=True)
class OwnDomain(Domain):
    """A domain with a topic and a folder that no other test uses."""

    own_topic: str = ""

    @property
    def topic(self) -> str:
        """Its own, in place of the contract's."""
        return self.own_topic


def own_domain() -> OwnDomain:
    """Such a domain, with the contract of transactions."""
    name = f"bronze-test-{uuid.uuid4().hex[:12]}"
    return OwnDomain(
        name=name,
        kind=Kind.EVENT,
        contract_file=TRANSACTIONS.contract_file,
        bronze_folder=f"{name}-folder",
        silver_folder=f"{name}-silver",
        event_time="timestamp",
        keyed_by="user_id",
        own_topic=name,
    )


def under_contract(domain: Domain, folder: Path, change: Callable[[dict[str, Any]], None]) -> Domain:
    """The domain under a contract that differs from today's by ``change``; it is written into the folder."""
    document: dict[str, Any] = yaml.safe_load((CONTRACTS_FOLDER / domain.contract_file).read_text(encoding="utf-8"))
    change(document)
    path = folder / f"{domain.name}-{uuid.uuid4().hex}.odcs.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return replace(domain, contract_file=str(path))


def unwrapping(domain: Domain, folder: Path, *words: str) -> Domain:
    """The domain under a contract that has these envelopes taken off."""

    def unwrap(document: dict[str, Any]) -> None:
        document["schema"][0]["customProperties"] = [{"property": "unwrap", "value": list(words)}]

    return under_contract(domain, folder, unwrap)


def stricter(domain: Domain, folder: Path, change: Callable[[dict[str, Any]], None]) -> Domain:
    """The domain under an older contract; ``change`` is given each field of it by name."""

    def restrict(document: dict[str, Any]) -> None:
        document["version"] = "0.9.0"
        for schema in document["schema"]:
            change({field["name"]: field for field in schema["properties"]})

    return under_contract(domain, folder, restrict)


def allow_amounts_up_to_1000(fields: dict[str, Any]) -> None:
    """For ``stricter``: a transaction of more is refused."""
    fields["amount"].setdefault("logicalTypeOptions", {})["maximum"] = 1000


def require_city(fields: dict[str, Any]) -> None:
    """For ``stricter``: a record without a city is refused."""
    fields["city"]["required"] = True
