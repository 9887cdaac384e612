"""The data contracts (ODCS 3.1, one YAML file per domain) and their loader."""

from include.contracts.contract import Contract, ContractError, Field, load_contract

__all__ = ["Contract", "ContractError", "Field", "load_contract"]
