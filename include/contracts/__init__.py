"""The data contracts (ODCS 3.1, one YAML file per domain) and their loader."""

from include.contracts.contract import Contract, load_contract
from include.contracts.field import Field
from include.contracts.source import ContractError

__all__ = ["Contract", "ContractError", "Field", "load_contract"]
