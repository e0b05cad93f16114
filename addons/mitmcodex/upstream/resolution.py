"""What a model's name means: which provider, which model of it, and which effort and tier the name asks for.

The order (seeds S131): the user's exact alias, a catalog or custom id, a ``provider:`` prefix, ``routing``, the user's
patterns, a configured provider of the family's own kind (claude*, gemini*), shipped aliases, suffixes. The last two are
looked at together: a shipped pattern like ``gpt-5.1-*`` would swallow the ``-high`` of ``gpt-5.1-high``. ``routing``
holds for exact ids too: the id says which model, ``routing`` who has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from mitmcodex.upstream.catalog import Catalog, EffortTable, ModelEntry, Shipped
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError

FAMILIES = (("claude", "messages"), ("gemini", "gemini"))
"""Start of a name → the kind of provider that has the real model."""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
TIERS = {"-fast": "priority", "-flex": "flex"}
RARE = ("max", "ultra")
"""Also ends of plain names (``gpt-5.1-codex-max``): a suffix only where the model has that level."""
LONG_CONTEXT = "[1m]"
"""Claude Code's mark of a large context window; no model of ours needs it."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the settings say of names."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    """Name or glob → model id, ``provider:model``, a routed name or another alias; never itself."""
    custom_models: tuple[ModelEntry, ...] = ()
    routing: Mapping[str, str] = field(default_factory=dict)
    """Model → provider."""
    providers: Mapping[str, str] = field(default_factory=dict)
    """Configured provider → its kind."""
    default_model: str = ""
    force_model: str = ""
    unknown_model: str = "pass"
    """pass | default | reject"""
    default_effort: str = ""
    default_tier: str = ""

    def custom(self, name: str) -> ModelEntry | None:
        return next((entry for entry in self.custom_models if entry.slug == name), None)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a name came to."""

    provider: str | None
    """None = the provider in force."""
    kind: str
    """Of that provider."""
    model: str
    """What goes upstream."""
    entry: ModelEntry | None = None
    """None = a model that no catalog describes."""
    effort: str = ""
    """From a suffix of the client's name."""
    alias_effort: str = ""
    """From what the name stands for: the suffix of an alias's target, a custom model's default."""
    tier: str = ""
    effort_table: EffortTable | None = None
    """Of an old slug: what its callers may ask for, before the limits of ``entry``."""
    reasons: tuple[str, ...] = ()
    """Step by step, why ``model`` is not the name that was asked for."""
    losses: tuple[Loss, ...] = ()


class Cut(NamedTuple):
    """A name read as a shorter one with suffixes."""

    rest: str
    effort: str
    tier: str


def resolve(asked: str, names: Names, catalog: Catalog, shipped: Shipped, provider_kind: str) -> Resolution:
    """What ``asked`` ("" = no model named) means for the provider in force, whose list is ``catalog``.

    Raises WireError: not_found for a name that ``unknown_model: reject`` refuses and for aliases that go in a circle,
    invalid_request for an image model, and when no model is named and none is the default.
    """
    wanted = names.force_model or asked or names.default_model or catalog.default_model
    if not wanted:
        message = "The request names no model, and there is no default: name one, or set default_model."
        raise WireError("invalid_request", message, code="missing_required_parameter", param="model")
    found = _Search(names, catalog, shipped, provider_kind).settle(wanted)
    if wanted != asked:
        found = _as_default(found, f"force_model is {wanted}" if names.force_model else "")
    is_mute = found.entry is not None and "text" not in found.entry.output_modalities
    if found.model in shipped.image_models or is_mute:
        message = (
            f"{found.model} makes images and answers no chat: use POST /v1/images/generations, "
            "or a chat model with the image_generation tool."
        )
        raise WireError("invalid_request", message, code="model_not_supported", param="model")
    if not asked or found.model == asked:
        return found
    why = "; ".join((*found.reasons, f"{found.model} answers"))
    return replace(found, losses=(Loss("model", "mapped", why),))


def cuts(name: str) -> Iterator[Cut]:
    """Every way to read the end of a name as suffixes, in any case: ``[1m]``, then the tier, then the effort."""
    rest, tier = name, ""
    if rest.lower().endswith(LONG_CONTEXT):
        rest = rest[: -len(LONG_CONTEXT)]
        yield Cut(rest, "", "")
    for suffix, value in TIERS.items():
        if rest.lower().endswith(suffix):
            rest, tier = rest[: -len(suffix)], value
            yield Cut(rest, "", tier)
            break
    for effort in EFFORTS:
        if rest.lower().endswith((f"-{effort}", f"/{effort}")):
            yield Cut(rest[: -len(effort) - 1], effort, tier)
            return


def is_pattern(name: str) -> bool:
    """Whether a key of ``aliases`` is a glob. ``[`` alone makes none: ``sonnet[1m]`` is a name."""
    return "*" in name or "?" in name


def _as_default(found: Resolution, why: str) -> Resolution:
    """What an alias's target or a configured name asks for is a default under what the client's own name says."""
    reasons = (why, *found.reasons) if why else found.reasons
    return replace(found, effort="", alias_effort=found.effort or found.alias_effort, reasons=reasons)


@dataclass(frozen=True, slots=True)
class _Search:
    """One look-up. ``seen``: the names whose alias was followed; ``provider``: settled by a prefix or ``routing``."""

    names: Names
    catalog: Catalog
    shipped: Shipped
    kind: str
    provider: str | None = None
    seen: tuple[str, ...] = ()

    def settle(self, name: str) -> Resolution:
        return self._known(name) or self._unknown(name)

    def _known(self, name: str) -> Resolution | None:
        anywhere = (self._prefixed, self._routed, self._matched, self._of_family)
        steps: tuple[Callable[[str], Resolution | None], ...] = (
            self._exact,
            *(anywhere if self.provider is None else ()),
            self._suffixed,
            self._shipped,
        )
        return next((found for step in steps if (found := step(name))), None)

    def _exact(self, name: str) -> Resolution | None:
        aliased = self._aliased(name) if self.provider is None else None
        return aliased or self._listed(name)

    def _aliased(self, name: str) -> Resolution | None:
        target = self.names.aliases.get(name)
        return self._follow(name, target, f"{name} is an alias of {target}") if target else None

    def _listed(self, name: str) -> Resolution | None:
        custom, live = self.names.custom(name), self.catalog.find(name)
        entry = custom.filled_from(live) if custom and live else custom or live
        if entry is None:
            return None
        if self.provider is None and name in self.names.routing:
            return self._at(self.names.routing[name]).settle(name)
        default = custom.default_effort if custom else ""
        return Resolution(self.provider, self.kind, name, entry, alias_effort=default)

    def _prefixed(self, name: str) -> Resolution | None:
        provider, _, rest = name.partition(":")
        if not rest or provider not in self.names.providers:
            return None
        found = self._at(provider).settle(rest)
        return replace(found, reasons=(f"{provider} is a provider", *found.reasons))

    def _routed(self, name: str) -> Resolution | None:
        provider = self.names.routing.get(name)
        return self._at(provider).settle(name) if provider else None

    def _matched(self, name: str) -> Resolution | None:
        """The user's patterns see the whole name; a suffix of it counts where what is left is known without them."""
        for pattern, target in self.names.aliases.items():
            if is_pattern(pattern) and fnmatchcase(name, pattern) and target != name:
                found = self._follow(name, target, f"{name} is an alias ({pattern}) of {target}")
                suffixed = self._suffixed(name)
                return replace(found, effort=suffixed.effort, tier=suffixed.tier or found.tier) if suffixed else found
        return None

    def _of_family(self, name: str) -> Resolution | None:
        for start, kind in FAMILIES:
            provider = next((other for other, its in self.names.providers.items() if its == kind), None)
            if provider and self.kind != kind and name.lower().startswith(start):
                cut = next(cuts(name), None)
                is_marked = cut is not None and not cut.effort and not cut.tier
                found = self._at(provider).settle(cut.rest if cut and is_marked else name)
                return replace(found, reasons=(f"{provider} has the models {start}*",))
        return None

    def _suffixed(self, name: str) -> Resolution | None:
        """With the fewest suffixes that leave an alias, a catalog or a custom id; else with the most that leave a
        shipped alias, as its patterns match names with suffixes too.
        """
        ways = [cut for cut in cuts(name) if cut.rest and cut.rest not in self.shipped.image_models]
        exact = [(cut, self._exact) for cut in ways]
        for cut, step in (*exact, *((cut, self._shipped) for cut in reversed(ways))):
            found = step(cut.rest)
            if found and (cut.effort not in RARE or cut.effort in _levels(found)):
                reason = f"{name[len(cut.rest) :]} is a suffix of {cut.rest}"
                tier = cut.tier or found.tier
                return replace(found, effort=cut.effort, tier=tier, reasons=(reason, *found.reasons))
        return None

    def _shipped(self, name: str) -> Resolution | None:
        row = self.shipped.alias_for(name) if self.kind == "chatgpt" and not self.catalog.find(name) else None
        if row is None:
            return None
        # An account's own list may lack the usual target.
        target = row.model if self.catalog.find(row.model) else self._default(name)
        if not target:
            return None
        found = self._follow(name, target, f"the ChatGPT backend has no {name}")
        return replace(found, effort_table=self.shipped.tables.get(row.slug))

    def _unknown(self, name: str) -> Resolution:
        """Where the provider's list is not at hand (empty, or one named by prefix or routing) nothing is unknown."""
        default = self._default(name)
        has_list = self.provider is None and self.catalog.entries
        if has_list and self.names.unknown_model == "reject":
            raise _not_found(f"There is no model {name!r}: GET /v1/models lists what there is.")
        if has_list and self.names.unknown_model == "default" and default:
            return self._follow(name, default, f"there is no model {name}")
        return Resolution(self.provider, self.kind, name)

    def _default(self, name: str) -> str:
        """The default model, but the catalog's own where the configured one leads back to ``name``."""
        configured = self.names.default_model
        is_usable = configured and configured != name and configured not in self.seen
        default = configured if is_usable else self.catalog.default_model
        return "" if default == name else default

    def _follow(self, name: str, target: str, why: str) -> Resolution:
        if name in self.seen:
            raise _not_found(f"The model alias {name!r} leads back to itself: {' → '.join((*self.seen, name))}.")
        return _as_default(replace(self, seen=(*self.seen, name)).settle(target), why)

    def _at(self, provider: str) -> _Search:
        """The rest of the look-up for this provider. Another kind has another list, which is not at hand."""
        kind = self.names.providers.get(provider, "")
        elsewhere = self.shipped.catalog if kind == "chatgpt" else Catalog()
        return replace(self, provider=provider, kind=kind, catalog=self.catalog if kind == self.kind else elsewhere)


def _levels(found: Resolution) -> tuple[str, ...]:
    if found.effort_table:
        return found.effort_table.allowed
    return found.entry.efforts if found.entry else ()


def _not_found(message: str) -> WireError:
    return WireError("not_found", message, code="model_not_found", param="model")
