"""The registry of domains: topics, DAGs, assets, jobs, tables, grants, checks and the command line are built from it.

A new domain is one entry and one contract (docs/add-a-domain.md). Entries stand here, or in the file ``domains.yaml``
of the folder that ``$PAYLAKE_DOMAINS`` names, which has their contracts, too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from include.contracts import Contract, load_contract

DOMAINS_VARIABLE = "PAYLAKE_DOMAINS"

# The names of buckets are shared by all who use a public store such as AWS.
BUCKET_PREFIX = os.environ.get("PAYLAKE_BUCKET_PREFIX", "")
BRONZE_BUCKET = f"{BUCKET_PREFIX}bronze"
SILVER_BUCKET = f"{BUCKET_PREFIX}silver"
CHECKPOINTS_BUCKET = f"{BUCKET_PREFIX}checkpoints"
BUCKETS = (BRONZE_BUCKET, SILVER_BUCKET, CHECKPOINTS_BUCKET)


class RegistryError(ValueError):
    """The entries of domains make no sense; the message says which and why."""


class Kind(StrEnum):
    """What the records of a domain are."""

    REFERENCE = "reference"
    """Versions of something that has an id; silver and gold hold the newest of each."""
    EVENT = "event"
    """Things that happened: silver holds every record, by the days of their event time, gold the newest of each id."""


class Generator(StrEnum):
    """The DAG of ours that produces records of a domain."""

    REFERENCE = "generate_reference"
    TRANSACTIONS = "generate_transactions"


@dataclass(frozen=True, slots=True)
class Domain:
    """One kind of record, the names under which it is found in each layer, and all that differs from other kinds.

    ``event_time`` is the record's field that says which of two records with one id is newer, and on which day an event
    was. ``keyed_by`` is the field whose text our own producers use as the message's key. ``gold`` is whether silver is
    loaded into a table of the warehouse. Of ``judged`` records the fraud stream decides which are refused, and gives
    each of the others a verdict; silver follows it. ``partitions`` is how many its topic is created with: the most that
    can be read in parallel; adding some later would move keys to other partitions and break their order. ``retention``
    is how long Kafka keeps a record. ``generator`` is what of ours produces such records, None if only others do.
    ``silent_for`` is how long no record may come before somebody is told; None where a source may be silent.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    kind: Kind
    contract_file: str
    bronze_folder: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]
    silver_folder: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]
    event_time: str
    keyed_by: str
    gold: bool = True
    judged: bool = False
    partitions: Annotated[int, Field(ge=1)] = 2
    retention: timedelta = field(default=timedelta(days=7))
    generator: Generator | None = None
    silent_for: timedelta | None = None

    @property
    def contract(self) -> Contract:
        """The domain's contract; reading it again costs nothing."""
        return load_contract(self.contract_file)

    @property
    def topic(self) -> str:
        """Kafka topic the records arrive on."""
        return self.contract.topic

    @property
    def key(self) -> str:
        """Name of the record's id field."""
        return self.contract.key.name

    @property
    def key_fields(self) -> frozenset[str]:
        """Fields of a record that a message's key may repeat: its id, and what our own producers use as the key."""
        return frozenset({self.key, self.keyed_by})

    @property
    def newest_by(self) -> tuple[str, ...]:
        """Columns of a silver row that say, one after the other, which of two rows with one id is the newer one.

        The record's own time; which of the topics of this name it is from; when it came, which is null in rows from
        before that was noted and then counts as earlier; and for what came in the same millisecond its place.
        """
        return (self.event_time, "bronze_generation", "bronze_taken_ms", "bronze_partition", "bronze_offset")

    @property
    def table(self) -> str:
        """Unquoted SQL name of the gold table, should there be one."""
        return self.contract.table

    @property
    def silver_asset(self) -> str:
        """Name of the asset that is its silver."""
        return f"silver/{self.silver_folder}"

    @property
    def gold_asset(self) -> str:
        """Name of the asset that is its gold table, should there be one."""
        return f"gold/{self.table.upper()}"


PROFILES = Domain(
    name="profiles",
    kind=Kind.REFERENCE,
    contract_file="user_profiles.odcs.yaml",
    bronze_folder="profiles-folder",
    silver_folder="processed-profiles",
    event_time="timestamp",
    keyed_by="user_id",
    generator=Generator.REFERENCE,
)
MERCHANTS = Domain(
    name="merchants",
    kind=Kind.REFERENCE,
    contract_file="merchant_info.odcs.yaml",
    bronze_folder="merchant-folder",
    silver_folder="processed-merchants",
    event_time="timestamp",
    keyed_by="merchant_id",
    generator=Generator.REFERENCE,
)
ACCOUNTS = Domain(
    name="accounts",
    kind=Kind.REFERENCE,
    contract_file="account_balances.odcs.yaml",
    bronze_folder="account-folder",
    silver_folder="processed-accounts",
    event_time="last_updated",
    keyed_by="account_id",
    generator=Generator.REFERENCE,
)
TRANSACTIONS = Domain(
    name="transactions",
    kind=Kind.EVENT,
    contract_file="transactions.odcs.yaml",
    bronze_folder="transactions-folder",
    silver_folder="processed-transactions",
    event_time="timestamp",
    keyed_by="user_id",
    gold=False,
    judged=True,
    partitions=4,
    generator=Generator.TRANSACTIONS,
)


def domains_in(folder: Path) -> list[Domain]:
    """The domains of the folder's ``domains.yaml``, a list of entries whose contracts stand beside it.

    Raises:
        RegistryError: the file cannot be read, or an entry makes no sense.
    """
    file = folder / "domains.yaml"
    try:
        entries = TypeAdapter(list[Domain]).validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RegistryError(f"{file}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RegistryError(f"{file}: {problems}") from error
    return [replace(entry, contract_file=str(folder / entry.contract_file)) for entry in entries]


def registry(domains: Iterable[Domain]) -> dict[str, Domain]:
    """The domains by name.

    Raises:
        RegistryError: two of them have the same name, topic, folder or table; or an entry does not fit its contract, or
            wants verdicts on something else than transactions.
    """
    known = list(domains)
    for what, names in {
        "name": [one.name for one in known],
        "topic": [one.topic for one in known],
        "bronze_folder": [one.bronze_folder for one in known],
        "silver_folder": [one.silver_folder for one in known],
        "table": [one.table for one in known],
    }.items():
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise RegistryError(f"two domains have the {what} {', '.join(twice)}")
    for one in known:
        if one.judged and one is not TRANSACTIONS:
            raise RegistryError(f"{one.name}: the rules of fraud judge transactions, nothing else")
        fields = {each.name: each for each in one.contract.record}
        columns = {each.name for each in one.contract.columns}
        if one.event_time not in fields or fields[one.event_time].logical_type != "timestamp":
            raise RegistryError(f"{one.name}: event_time {one.event_time} is no timestamp of its record")
        if not fields[one.event_time].required:
            raise RegistryError(f"{one.name}: event_time {one.event_time} may be missing from its record")
        if not {one.event_time, one.key} <= columns:
            raise RegistryError(f"{one.name}: its table lacks {one.key} or {one.event_time}, which say what is newest")
        if one.keyed_by not in fields:
            raise RegistryError(f"{one.name}: keyed_by {one.keyed_by} is no field of its record")
    return {one.name: one for one in known}


def _added() -> list[Domain]:
    folder = os.environ.get(DOMAINS_VARIABLE)
    return domains_in(Path(folder)) if folder else []


DOMAINS = registry((PROFILES, MERCHANTS, ACCOUNTS, TRANSACTIONS, *_added()))
REFERENCE_DOMAINS = {name: domain for name, domain in DOMAINS.items() if domain.kind is Kind.REFERENCE}
GOLD_DOMAINS = {name: domain for name, domain in DOMAINS.items() if domain.gold}
BATCH_DOMAINS = {name: domain for name, domain in DOMAINS.items() if not domain.judged}
"""Those that go on when something arrived; of the others a stream takes care."""
GENERATED_REFERENCE = [one for one in DOMAINS.values() if one.generator is Generator.REFERENCE]
