"""Fraud: the rules, and how a micro-batch of verdicts gets into the warehouse exactly once."""
