"""The warehouse (PostgreSQL 18): tables from the contracts, gold loads, quarantine, and what is read from them."""
