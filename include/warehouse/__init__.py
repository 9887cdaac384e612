"""The warehouse (PostgreSQL 18): tables made from the contracts, gold loads, quarantine, and what one reads from them."""
