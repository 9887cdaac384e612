"""``python -m include.redrive``: the command line of quarantine as a program of its own."""

from include.redrive.cli import app

app(prog_name="quarantine")
