"""The data dictionary: what the contracts say, as a page to read.

``python -m include.dictionary`` prints it; a test keeps ``docs/data-dictionary.md`` equal to that output.
"""

from __future__ import annotations

from collections.abc import Iterator

from include.contracts import Field
from include.domains import DOMAINS, Domain
from include.warehouse.columns import DAILY_FRAUD_COLUMNS


def data_dictionary() -> str:
    """Markdown: per domain the record as produced and the table it becomes."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Data dictionary"
    yield ""
    yield "Made from `include/contracts/` by `python -m include.dictionary`; change it there."
    yield ""
    yield "*No placeholder*: a text that stands for none, such as `N/A`, `--` or `unknown`, counts as missing."
    for domain in DOMAINS.values():
        yield from _domain(domain)
    yield from ("", "## Daily rollup of verdicts", "", "### In the table `daily_fraud`", "")
    yield from ("Made of the verdicts by whole days; see [assets](assets.md#days).", "")
    yield "| name | type | what it is |"
    yield "| --- | --- | --- |"
    for column in DAILY_FRAUD_COLUMNS:
        yield f"| `{column.name}` | {column.type} | {column.description} |"


def _domain(domain: Domain) -> Iterator[str]:
    contract = domain.contract
    yield from ("", f"## {contract.name}", "", f"{contract.description} Contract version {contract.version}.", "")
    yield from (f"### On the topic `{contract.topic}`", "")
    yield from _table(contract.record)
    yield from ("", f"### In the table `{contract.table}`", "", contract.table_description, "")
    yield from _table(contract.columns)


def _table(fields: tuple[Field, ...]) -> Iterator[str]:
    yield "| name | type | required | allowed | personal | what it is |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for field in fields:
        required, personal = ("yes" if flag else "" for flag in (field.required, field.personal))
        cells = (f"`{field.name}`", field.physical_type, required, _allowed(field), personal, field.description)
        yield "| " + " | ".join(cells) + " |"


def _allowed(field: Field) -> str:
    rules = [", ".join(field.valid_values)]
    if field.pattern:
        rules.append(f"`{field.pattern}`")
    for label, limit in (("from", field.minimum), ("to", field.maximum), ("above", field.exclusive_minimum)):
        if limit is not None:
            rules.append(f"{label} {limit}")
    if field.placeholder_is_missing:
        rules.append("no placeholder")
    return " ".join(rule for rule in rules if rule)


if __name__ == "__main__":
    print(data_dictionary(), end="")
