"""Alerts for people: an alarm for each asset that is overdue, and notices that reach every channel once."""
