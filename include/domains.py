"""The registry of domains: DAGs, jobs, checks and the command line are built from it.

A new domain is one entry here, one contract and, where its columns are not just its fields, one cleaning function in
``include/cleaning``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from include.contracts import Contract, load_contract

# The names of buckets are shared by all who use a public store such as AWS.
BUCKET_PREFIX = os.environ.get("PAYLAKE_BUCKET_PREFIX", "")
BRONZE_BUCKET = f"{BUCKET_PREFIX}bronze"
SILVER_BUCKET = f"{BUCKET_PREFIX}silver"
CHECKPOINTS_BUCKET = f"{BUCKET_PREFIX}checkpoints"
BUCKETS = (BRONZE_BUCKET, SILVER_BUCKET, CHECKPOINTS_BUCKET)


@dataclass(frozen=True, slots=True)
class Domain:
    """One kind of record and the names under which it is found in each layer.

    ``event_time`` is the record's field that says which of two records with one id is newer. ``keyed_by`` is the field
    whose text our own producers use as the message's key. ``silver_folder`` is None for a domain whose records are
    events with a verdict rather than rows that get newer versions.
    """

    name: str
    contract_file: str
    bronze_folder: str
    silver_folder: str | None
    event_time: str
    keyed_by: str

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
        """Unquoted SQL name of the gold table."""
        return self.contract.table


PROFILES = Domain(
    name="profiles",
    contract_file="user_profiles.odcs.yaml",
    bronze_folder="profiles-folder",
    silver_folder="processed-profiles",
    event_time="timestamp",
    keyed_by="user_id",
)
MERCHANTS = Domain(
    name="merchants",
    contract_file="merchant_info.odcs.yaml",
    bronze_folder="merchant-folder",
    silver_folder="processed-merchants",
    event_time="timestamp",
    keyed_by="merchant_id",
)
ACCOUNTS = Domain(
    name="accounts",
    contract_file="account_balances.odcs.yaml",
    bronze_folder="account-folder",
    silver_folder="processed-accounts",
    event_time="last_updated",
    keyed_by="account_id",
)
TRANSACTIONS = Domain(
    name="transactions",
    contract_file="transactions.odcs.yaml",
    bronze_folder="transactions-folder",
    silver_folder=None,
    event_time="timestamp",
    keyed_by="user_id",
)

DOMAINS = {domain.name: domain for domain in (PROFILES, MERCHANTS, ACCOUNTS, TRANSACTIONS)}
REFERENCE_DOMAINS = {name: domain for name, domain in DOMAINS.items() if domain.silver_folder is not None}
