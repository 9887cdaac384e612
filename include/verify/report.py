"""What a verification found, for programs and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from include.status.waiting import Waiting

SHOWN = 20
"""How many ranges, objects and ids a finding names; its count is of all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which the books do not balance.

    ``check`` is a short name to count by, ``message`` one sentence for people. ``ranges`` are the wrong offsets of one
    partition, as pairs of first and last; ``objects`` and ``ids`` name what is wrong in MinIO and in tables. Of each
    list the first ``SHOWN`` are kept; ``count`` is how many records, objects or rows are wrong in all.
    """

    check: str
    domain: str
    message: str
    count: int
    topic_id: str | None = None
    partition: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    objects: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The finding as a JSON object, without what it does not have."""
        return {key: value for key, value in asdict(self).items() if value not in (None, ())}


@dataclass(slots=True)
class Books:
    """The records of one partition by where they are, each counted once.

    ``produced`` are those that Kafka still holds, up to the end that was fixed at the start; None for a topic that
    Kafka does not know any more. ``bronze`` counts the records that silver, or the fraud stream, had to have taken in:
    those equal ``valid + duplicates + quarantined + tombstones``. ``duplicates`` are valid records whose place another
    record of the same id has. Of the ``valid`` ones ``fraud`` are in FraudTransaction and the others in
    GenuineTransaction, for transactions.
    """

    domain: str
    topic_id: str
    partition: int
    end: int
    produced: int | None = None
    bronze: int = 0
    valid: int = 0
    fraud: int = 0
    duplicates: int = 0
    quarantined: int = 0
    tombstones: int = 0
    objects: int = 0


@dataclass(slots=True)
class DomainReport:
    """One domain's books. ``silver`` and ``gold`` are rows, None where the domain has no such layer.

    ``judged`` says that records have verdicts. ``conflicts`` are duplicates that say something else than the record
    that has their id. ``waiting`` are records that Kafka gives nobody yet, because a transaction before them is open:
    no part of the books.
    """

    domain: str
    books: list[Books] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    judged: bool = False
    silver: int | None = None
    gold: int | None = None
    conflicts: int = 0
    redriven: int = 0

    def total(self, column: str) -> int:
        """The sum of a column of the books."""
        return sum(getattr(one, column) or 0 for one in self.books)

    def as_json(self) -> dict[str, Any]:
        """The books as a JSON object."""
        return {
            "domain": self.domain,
            "silver": self.silver,
            "gold": self.gold,
            "conflicts": self.conflicts,
            "redriven": self.redriven,
            "waiting": [one.as_json() for one in self.waiting],
            "partitions": [asdict(one) for one in self.books],
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one verification, which took ``seconds``."""

    domains: tuple[DomainReport, ...]
    seconds: float

    @property
    def findings(self) -> list[Finding]:
        """All that is wrong."""
        return [finding for domain in self.domains for finding in domain.findings]

    @property
    def balanced(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def records(self) -> int:
        """How many records of bronze were accounted for."""
        return sum(domain.total("bronze") for domain in self.domains)

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "balanced": self.balanced,
            "records": self.records,
            "seconds": round(self.seconds, 3),
            "domains": [domain.as_json() for domain in self.domains],
        }

    def problems(self) -> str:
        """All findings as text, a line each; empty when there are none."""
        return "\n".join(finding.message for finding in self.findings)


def kept(items: Sequence[str]) -> tuple[str, ...]:
    """As much of a list as a finding names."""
    return tuple(items[:SHOWN])


def listed(items: Sequence[str]) -> str:
    """A list for a sentence, cut after ``SHOWN``."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
