"""Which names the model lists show: the catalog, custom models, each with one effort, and the user's aliases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mitmcodex.upstream.catalog import Catalog, ModelEntry, Shipped
from mitmcodex.upstream.resolution import Names, is_pattern, resolve
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.model_lists import Listed
from mitmcodex.wire.shapes import Fields


def listed(
    names: Names, catalog: Catalog, shipped: Shipped, provider_kind: str, with_variants: bool, with_aliases: bool
) -> list[Listed]:
    """The rows for wire/model_lists.py: catalog and custom models, each before its variants, then the aliases.

    The first four as for ``resolve``. A listed alias or a custom model takes the place of the catalog's model of that
    name, as it does in a request. Hidden models are rows too: Codex gets them, and who asks for one by name.
    """
    entries = {**catalog.entries, **{entry.slug: _custom(entry, catalog) for entry in names.custom_models}}
    default = names.default_model or catalog.default_model
    rows: dict[str, Listed] = {}
    for slug, entry in entries.items():
        row = replace(row_of(slug, entry, shipped), is_default=slug == default)
        variants = _variants(row) if with_variants and row.role == "model" else ()
        for each in (row, *variants):
            rows.setdefault(each.id, each)
    for alias in names.aliases if with_aliases else ():
        if not is_pattern(alias):  # which has no name that could be listed
            rows[alias] = row_of(alias, _meant(alias, names, catalog, shipped, provider_kind), shipped, "alias")
    return [*rows.values()]


def row_of(name: str, entry: ModelEntry | None, shipped: Shipped, role: str = "") -> Listed:
    """A row for any name that a request may carry; ``entry`` None = a model that no catalog describes."""
    known = entry or ModelEntry(name)
    is_renamed = entry is None or name != entry.slug
    title = name if is_renamed else known.display_name
    return Listed(
        id=name,
        name=title,
        description=known.description,
        role=role or ("model" if known.is_listed else "hidden"),
        owned_by="mitmcodex" if is_renamed else "openai",
        context=known.context_window,
        max_context=known.max_context_window,
        max_output=known.max_output_tokens,
        efforts=known.efforts,
        default_effort=known.default_effort,
        input_modalities=known.input_modalities or ("text",),
        output_modalities=known.output_modalities,
        raw=_info(known, name, title, shipped.template),
    )


def _info(entry: ModelEntry, name: str, title: str, template: Fields) -> Fields:
    """Codex's ModelInfo with every field that Codex asks for, under this name."""
    raw = {**template, **entry.raw, "slug": name, "display_name": title}
    levels = raw.get("supported_reasoning_levels")
    rows = levels if isinstance(levels, list) else []
    raw["supported_reasoning_levels"] = [{"description": "", **row} for row in rows if isinstance(row, dict)]
    if name != entry.slug:
        # Codex shows the name that the user gave, without its advice to move on to a newer model.
        raw |= {"visibility": "list", "upgrade": None}
    return raw


def _custom(entry: ModelEntry, catalog: Catalog) -> ModelEntry:
    base = catalog.find(entry.slug)
    return entry.filled_from(base) if base else entry


def _variants(row: Listed) -> Iterator[Listed]:
    """``gpt-6-sol-high`` and the like (seeds S98)."""
    for effort in row.efforts:
        yield replace(
            row,
            id=f"{row.id}-{effort}",
            name=f"{row.name} ({effort} reasoning)",
            role="variant",
            efforts=(effort,),
            default_effort=effort,
            is_default=False,
        )


def _meant(
    alias: str, names: Names, catalog: Catalog, shipped: Shipped, provider_kind: str
) -> ModelEntry | None:
    """None where no catalog describes the model, and for an alias that gives an error when it is asked for."""
    try:
        return resolve(alias, replace(names, force_model=""), catalog, shipped, provider_kind).entry
    except WireError:
        return None
