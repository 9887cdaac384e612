"""The uv that ./paylake makes its environments with."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

from include.local.layout import CLONE


def uv() -> str:
    """The program; made first, where nobody has used it yet."""
    loader = SourceFileLoader("paylake_for_uv", str(CLONE / "paylake"))
    spec = spec_from_loader("paylake_for_uv", loader)
    assert spec is not None
    paylake = module_from_spec(spec)
    loader.exec_module(paylake)
    folder = os.path.join(paylake.cache_folder(), "bootstrap", paylake.digest(paylake.REQUIREMENTS))
    paylake.ensure(folder, lambda lock: paylake.make_bootstrap(folder, lock))
    return os.path.join(folder, "bin", "uv")
