"""Keeps the processes: starts, watches, replaces and ends them."""
