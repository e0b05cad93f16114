"""The README's section "Clients", made from config/clients.yaml: ``make setup-table`` writes it anew."""

from __future__ import annotations

from pathlib import Path

from mitmcodex import setup_clients
from mitmcodex.paths import PACKAGE
from mitmcodex.schema import Settings

README = PACKAGE.parent.parent / "README.md"
OPENING, CLOSING = "<!-- clients -->\n", "\n<!-- /clients -->"


def section() -> str:
    """What ``mitmcodex setup`` prints for each client, without any setting."""
    values = setup_clients.values_of(Settings())
    return "\n\n".join(setup_clients.text(client, values, "linux") for client in setup_clients.clients().values())


def rewritten(readme: str) -> str:
    """The README with the section as it should be; raises ValueError without the two marks."""
    before, rest = readme.split(OPENING)
    _, after = rest.split(CLOSING)
    return before + OPENING + section() + CLOSING + after


if __name__ == "__main__":
    path: Path = README
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
