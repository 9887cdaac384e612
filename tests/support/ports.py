"""Ports for a whole stack that runs beside others."""

from __future__ import annotations

import random

from include.local.ports import Ports, why_unusable


def free_port_base() -> int:
    """A base for PAYLAKE_PORT_BASE whose ports are all free now, below those the system gives to clients."""
    candidates = random.sample(range(20000, 32000, 20), 100)
    for base in candidates:
        if not any(why_unusable(port) for port in Ports.from_base(base).by_name().values()):
            return base
    raise AssertionError("no free ports between 20000 and 32000")
