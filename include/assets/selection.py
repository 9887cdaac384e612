"""Which assets somebody means: names, groups, and what is upstream or downstream of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from include.assets.spec import AssetSpec

_GROUP = "group:"


class SelectionError(ValueError):
    """A selection names nothing that is there; the message says what, and what is near."""


def select(selections: Iterable[str], assets: Mapping[str, AssetSpec]) -> list[AssetSpec]:
    """The assets that any of these selections means, in the order of ``assets``: what is made of others after them.

    A selection is ``x``, ``+x`` (and all it is made of), ``x+`` (and all that is made of it) or ``+x+``, and ``x`` the
    name of an asset, its group and domain (``silver/profiles`` for ``silver/processed-profiles``), or ``group:silver``.
    Capitals count for nothing.

    Raises:
        SelectionError: one of them means nothing.
    """
    chosen: set[str] = set()
    for selection in selections:
        core = selection.strip()
        upstream, downstream = core.startswith("+"), core.endswith("+")
        named = set(_named(core.removeprefix("+").removesuffix("+"), assets))
        chosen |= named
        if upstream:
            chosen |= _reached(named, {name: set(spec.inputs) for name, spec in assets.items()})
        if downstream:
            chosen |= _reached(named, _made_of_each(assets))
    return [spec for name, spec in assets.items() if name in chosen]


def _named(text: str, assets: Mapping[str, AssetSpec]) -> list[str]:
    wanted = text.lower()
    if wanted.startswith(_GROUP):
        found = [name for name, spec in assets.items() if spec.group == wanted.removeprefix(_GROUP)]
        groups = sorted({spec.group for spec in assets.values()})
        if not found:
            raise SelectionError(f"there is no {text}; the groups are {', '.join(groups)}")
        return found
    names = {name.lower(): [name] for name in assets}
    for name, spec in assets.items():
        if spec.domain:
            names.setdefault(f"{spec.group}/{spec.domain.name}", []).append(name)
    found = names.get(wanted, [])
    if not found:
        near = difflib.get_close_matches(wanted, names, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(assets)}"
        raise SelectionError(f"there is no asset {text!r}{hint}")
    return found


def _made_of_each(assets: Mapping[str, AssetSpec]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in assets}
    for name, spec in assets.items():
        for before in spec.inputs:
            found[before].add(name)
    return found


def _reached(start: Iterable[str], edges: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    fresh = set(start)
    while fresh:
        fresh = {after for name in fresh for after in edges[name]} - reached
        reached |= fresh
    return reached
