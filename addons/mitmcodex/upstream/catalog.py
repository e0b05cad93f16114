"""Which models there are: a backend's own list, and the shipped one (config/models.yaml) for what it leaves out.

A model is kept as Codex's ModelInfo (protocol.md section 7), as far as it is known; the fields that we use are read
from it once. Pure but for ``shipped``, which reads a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mitmcodex.wire.shapes import Fields


class CatalogError(Exception):
    """One line for a person: which list, what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model. Numbers are tokens, 0 = not known; empty ``efforts`` = not known, so nothing is clamped."""

    slug: str
    display_name: str = ""
    description: str = ""
    efforts: tuple[str, ...] = ()
    default_effort: str = ""
    context_window: int = 0
    max_context_window: int = 0
    max_output_tokens: int = 0
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ("text",)
    is_lite: bool = False
    is_listed: bool = True
    tiers: tuple[str, ...] = ()
    default_tier: str = ""
    raw: Fields = field(default_factory=dict)
    """Codex's ModelInfo, as much of it as its source gave."""

    def filled_from(self, other: ModelEntry) -> ModelEntry:
        """This model with the fields that only ``other`` has."""
        return entry_of({**other.raw, **self.raw})


@dataclass(frozen=True, slots=True)
class Catalog:
    """Models by slug, in the order in which lists show them."""

    entries: Mapping[str, ModelEntry] = field(default_factory=dict)
    etag: str = ""
    default_model: str = ""
    """"" when the source names none."""

    def find(self, name: str) -> ModelEntry | None:
        return self.entries.get(name)

    def filled_from(self, other: Catalog) -> Catalog:
        """These models, each with the fields that only ``other``'s entry of that slug has."""
        entries = {
            slug: entry.filled_from(other.entries[slug]) if slug in other.entries else entry
            for slug, entry in self.entries.items()
        }
        default = other.default_model if other.default_model in entries else ""
        return replace(self, entries=entries, default_model=self.default_model or default)


class EffortTable(NamedTuple):
    """What the callers of an old slug may ask for; ``default`` is sent when they don't, "" = nothing is."""

    allowed: tuple[str, ...]
    default: str


class ShippedAlias(NamedTuple):
    """Names (globs, lower case) that the ChatGPT backend can't have; ``model`` "" = the default model."""

    patterns: tuple[str, ...]
    model: str
    slug: str
    """The old slug whose effort table holds, or ""."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """What config/models.yaml says."""

    catalog: Catalog
    aliases: tuple[ShippedAlias, ...]
    tables: Mapping[str, EffortTable]
    image_models: frozenset[str]
    template: Fields
    """What Codex asks of each ModelInfo, for models that no list describes; without slug and name."""

    def alias_for(self, name: str) -> ShippedAlias | None:
        """The first alias that matches, in any case."""
        lowered = name.lower()
        return next((row for row in self.aliases if any(fnmatchcase(lowered, glob) for glob in row.patterns)), None)


def entry_of(raw: Fields) -> ModelEntry:
    """A ModelInfo as an entry. A field of another type than Codex's counts as unknown; ``slug`` must be a text."""
    visibility = _text(raw, "visibility")
    return ModelEntry(
        slug=raw["slug"],
        display_name=_text(raw, "display_name") or raw["slug"],
        description=_text(raw, "description"),
        efforts=tuple(_named(raw.get("supported_reasoning_levels"), "effort")),
        default_effort=_text(raw, "default_reasoning_level"),
        context_window=_count(raw, "context_window"),
        max_context_window=_count(raw, "max_context_window"),
        max_output_tokens=_count(raw, "max_output_tokens"),
        input_modalities=_texts(raw.get("input_modalities")),
        output_modalities=_texts(raw.get("output_modalities")) or ("text",),
        is_lite=raw.get("use_responses_lite") is True,
        is_listed=visibility in ("", "list"),
        tiers=tuple(_named(raw.get("service_tiers"), "id")),
        default_tier=_text(raw, "default_service_tier"),
        raw=raw,
    )


def parse_backend(body: bytes, etag: str = "") -> Catalog:
    """``{"models": [ModelInfo …]}`` of the ChatGPT backend (protocol.md section 7), by ``priority``.

    The default is the first that may be listed. Raises CatalogError.
    """
    rows = [row for row in _rows(body, "models") if _text(row, "slug")]
    rows.sort(key=_priority)
    entries = _by_slug(rows)
    default = next((entry.slug for entry in entries.values() if entry.is_listed), "")
    return Catalog(entries, etag, default)


def parse_list(body: bytes, etag: str = "") -> Catalog:
    """A public API's list: ``{"data": [{"id"}]}`` (OpenAI, Anthropic) or ``{"models": [{"name": "models/x"}]}``
    (Gemini). It says little but the names, and names no default. Raises CatalogError.
    """
    return Catalog(_by_slug(_listed_infos(_rows(body, "data", "models"))), etag)


def shipped(path: Path) -> Shipped:
    """config/models.yaml, read and checked; raises CatalogError."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise CatalogError(f"can't read the model catalog {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise CatalogError(f"{path}: not valid YAML") from None
    try:
        return _shipped(content)
    except KeyError as error:
        raise CatalogError(f"{path}: {error} is missing or unknown") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise CatalogError(f"{path}: not a model catalog: {error}") from None


def _shipped(content: Any) -> Shipped:
    """Raises KeyError, TypeError, ValueError or AttributeError on another shape."""
    entries = _by_slug(_shipped_info(content, slug, row) for slug, row in content["models"].items())
    tables = {
        slug: EffortTable(_strict_texts(row["efforts"]), row.get("default", ""))
        for slug, row in content["old_slugs"].items()
    }
    aliases = []
    for row in content["aliases"]:
        alias = ShippedAlias(_strict_texts(row["match"]), row.get("model", ""), row.get("slug", ""))
        # Both are looked up while a request waits: what is not there must show when the file is read.
        _ = alias.model and entries[alias.model], alias.slug and tables[alias.slug]
        aliases.append(alias)
    default = entries[content["default"]].slug
    template = {**content["codex"], "visibility": "list", "priority": len(entries), "supported_reasoning_levels": []}
    image_models = frozenset(_strict_texts(content["image_models"]))
    return Shipped(Catalog(entries, default_model=default), tuple(aliases), tables, image_models, template)


def _shipped_info(content: Fields, slug: str, row: Fields) -> Fields:
    """A line of ``models:`` as Codex's ModelInfo."""
    tiers = [{"id": tier, **content["tiers"][tier]} for tier in row.get("tiers", [])]
    info = {
        **content["codex"],
        "slug": slug,
        "display_name": row["name"],
        "description": row["description"],
        "default_reasoning_level": row["default_effort"],
        "supported_reasoning_levels": levels(row["efforts"], content["efforts"]),
        "visibility": "list" if row.get("listed", True) else "hide",
        "priority": [*content["models"]].index(slug) + 1,
        "additional_speed_tiers": ["fast"] if tiers else [],
        "service_tiers": tiers,
        "upgrade": None,
        "context_window": row["context"],
        "max_context_window": row["max_context"],
        "use_responses_lite": row["lite"],
    }
    if row["lite"]:
        info["tool_mode"] = "code_mode_only"
    if "default_tier" in row:
        info["default_service_tier"] = row["default_tier"]
    if "upgrade" in row:
        info["upgrade"] = {"model": row["upgrade"], "migration_markdown": f"{row['upgrade']} replaces {slug}.\n"}
    return info


def levels(efforts: Iterable[str], descriptions: Mapping[str, str]) -> list[Fields]:
    """``supported_reasoning_levels`` of a ModelInfo; raises KeyError for an effort without a description."""
    return [{"effort": effort, "description": descriptions[effort]} for effort in efforts]


def _rows(body: bytes, *keys: str) -> list[Fields]:
    """The objects in the list under the first of ``keys`` that is there."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise CatalogError("the provider's list of models is not JSON") from None
    found = next((content[key] for key in keys if key in content), None) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise CatalogError(f"the provider's list of models has no list under {' or '.join(map(repr, keys))}")
    return [row for row in found if isinstance(row, dict)]


def _listed_infos(rows: Iterable[Fields]) -> Iterator[Fields]:
    """The rows of a public API's list in ModelInfo's names; one without a name is no model."""
    for row in rows:
        slug = _text(row, "id") or _text(row, "name").removeprefix("models/")
        named = {
            "slug": slug,
            "display_name": _text(row, "display_name") or _text(row, "displayName"),
            "description": _text(row, "description"),
            "context_window": _count(row, "inputTokenLimit"),
            "max_output_tokens": _count(row, "outputTokenLimit"),
        }
        if slug:
            yield {key: value for key, value in named.items() if value}


def _by_slug(infos: Iterable[Fields]) -> dict[str, ModelEntry]:
    entries: dict[str, ModelEntry] = {}
    for info in infos:
        entries.setdefault(info["slug"], entry_of(info))
    return entries


def _priority(row: Fields) -> float:
    priority = row.get("priority")
    return priority if isinstance(priority, (int, float)) else float("inf")


def _text(row: Fields, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _count(row: Fields, key: str) -> int:
    value = row.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _strict_texts(value: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or _texts(value) != tuple(value):
        raise ValueError(f"a list of texts is due, not {value!r}")
    return tuple(value)


def _named(rows: object, key: str) -> Iterator[str]:
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and _text(row, key):
            yield row[key]
