"""Synthetic bank traffic: a population with habits, its transactions, frauds with known truth, and real-world dirt."""
