"""Which reasoning effort and which service tier go upstream, of all that ask for one (seeds S104-S111, S134)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mitmcodex.upstream.resolution import EFFORTS, Names, Resolution
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.patch import REMOVE, Changes
from mitmcodex.wire.shapes import Fields

SILENT_TIERS = ("auto", "default")
"""Ask for what comes without them."""
TIERS = {"chatgpt": ("priority",)}
"""Kind → the tiers it keeps (protocol.md 2.2); a kind that is not here gets what was asked for."""


class Wish(NamedTuple):
    """A value that asks for an effort or a tier; None says nothing."""

    path: str
    value: object
    is_of_request: bool = False
    """Stands in the body: ignoring it is a loss."""


class Settled(NamedTuple):
    """Top-level keys of the canonical request to set or remove, and what is lost by it."""

    changes: Changes
    losses: list[Loss]


def settle(
    fields: Fields, resolution: Resolution, names: Names, paths: Mapping[str, str] | None = None
) -> Settled:
    """What goes upstream as ``reasoning.effort`` and ``service_tier`` of a canonical request.

    Effort: ``reasoning_effort`` > ``reasoning.effort`` > suffix > alias > configured default > the old slug's default.
    Tier: ``service_tier`` > suffix > configured default. Where nobody asks the field is left out, so that the model's
    own default holds. ``paths``: ``reasoning`` and ``service_tier`` → where the client wrote them, if elsewhere. Raises
    WireError (invalid_request) when ``reasoning`` is no object.
    """
    reasoning = fields.get("reasoning")
    if reasoning is not None and not isinstance(reasoning, dict):
        message = 'reasoning must be an object, like {"effort": "low"}.'
        raise WireError("invalid_request", message, param="reasoning")
    where = paths or {}
    effort = _settled_effort(fields, resolution, names, where.get("reasoning", "reasoning.effort"))
    tier = _settled_tier(fields, resolution, names, where.get("service_tier", "service_tier"))
    return Settled({**effort.changes, **tier.changes}, effort.losses + tier.losses)


def _settled_effort(fields: Fields, resolution: Resolution, names: Names, path: str) -> Settled:
    reasoning: Fields = fields.get("reasoning") or {}
    given = reasoning.get("effort")
    table = resolution.effort_table
    wishes = (
        Wish("reasoning_effort", fields.get("reasoning_effort"), True),
        Wish(path, given, True),
        Wish("model", resolution.effort or None),
        Wish("model", resolution.alias_effort or None),
        Wish("default_effort", names.default_effort or None),
        Wish("model", (table.default if table else "") or None),
    )
    known = {*EFFORTS, *(resolution.entry.efforts if resolution.entry else ())}
    chosen, losses = _first_effort(wishes, known)
    effort, clamped = _clamped(chosen, resolution) if chosen else ("", [])
    changes: dict[str, Any] = {"reasoning_effort": REMOVE} if "reasoning_effort" in fields else {}
    if effort and effort != given:
        changes["reasoning"] = {**reasoning, "effort": effort}
    elif not effort and given is not None:
        changes["reasoning"] = {key: value for key, value in reasoning.items() if key != "effort"} or REMOVE
    return Settled(changes, losses + clamped)


def _first_effort(wishes: Sequence[Wish], known: set[str]) -> tuple[tuple[str, str] | None, list[Loss]]:
    """(path, level) of the first wish that names a level, and what the request says besides."""
    chosen: tuple[str, str] | None = None
    losses = []
    for path, value, is_of_request in wishes:
        if value is None:
            continue
        level = value.strip().lower() if isinstance(value, str) else ""
        if level not in known:
            losses.append(Loss(path, "dropped", f"{_shown(value)} is no effort: {', '.join(EFFORTS)}"))
        elif chosen is None:
            chosen = path, level
        elif is_of_request and level != chosen[1]:
            losses.append(Loss(path, "dropped", f"{chosen[0]} goes first, with {chosen[1]}"))
    return chosen, losses


def _clamped(chosen: tuple[str, str], resolution: Resolution) -> tuple[str, list[Loss]]:
    """By the old slug's table, then by the levels of the model that answers; ``ultra`` is no level on the wire."""
    path, asked = chosen
    level = asked
    for allowed in (
        resolution.effort_table.allowed if resolution.effort_table else (),
        resolution.entry.efforts if resolution.entry else (),
    ):
        level = _nearest(level, allowed)
    if level == "ultra":
        level = "max"
    if level == asked:
        return level, []
    why = "ultra is Codex's own level" if asked == "ultra" else f"the model has no effort {asked}"
    return level, [Loss(path, "changed", f"{asked} → {level}: {why}")]


def _nearest(level: str, allowed: Sequence[str]) -> str:
    """Of two equally near the lower. ``none`` where it is no level asks for little; other levels never become none."""
    ranked = sorted((other for other in allowed if other in EFFORTS and other != "none"), key=EFFORTS.index)
    if level in allowed or not ranked or level not in EFFORTS:
        return level
    rank = EFFORTS.index("low" if level == "none" else level)
    return min(ranked, key=lambda other: abs(EFFORTS.index(other) - rank))


def _settled_tier(fields: Fields, resolution: Resolution, names: Names, path: str) -> Settled:
    given = fields.get("service_tier")
    kept = TIERS.get(resolution.kind)
    losses = []
    if given is not None and (not isinstance(given, str) or not given):
        losses.append(Loss(path, "dropped", f"{_shown(given)} is no service tier"))
        given = None
    asked = None if given in SILENT_TIERS else given
    wishes = (Wish(path, asked), Wish("model", resolution.tier), Wish("default_tier", names.default_tier))
    wish = next((wish for wish in wishes if wish.value), Wish(path, None))
    tier = "priority" if wish.value == "fast" else wish.value
    if tier and kept and tier not in kept:
        losses.append(Loss(wish.path, "dropped", f"the ChatGPT backend has no tier {tier}: {', '.join(kept)}"))
        tier = None
    if not tier and not kept:
        tier = given
    if tier == fields.get("service_tier"):
        return Settled({}, losses)
    return Settled({"service_tier": tier or REMOVE}, losses)  # type: ignore[dict-item]  # a text


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) and len(value) <= 40 else f"a value of type {type(value).__name__}"
