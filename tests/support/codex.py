"""The real Codex CLI, unmodified: where it is, and one quiet ``codex exec`` against a base URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
HOW_TO_GET = "Get it with: make codex (or set MITMCODEX_CODEX to its path)."
KEY_VARIABLE = "PROXY_KEY"

QUIET = """\
model = {model}
check_for_update_on_startup = false
chatgpt_base_url = {side_url}
{top}
[analytics]
enabled = false
[otel]
exporter = "none"
metrics_exporter = "none"
[features]
plugins = false
remote_plugin = false
apps = false
"""
PROVIDER = """\
[model_providers.proxy]
name = "Proxy"
base_url = {base_url}
wire_api = "responses"
supports_websockets = false
request_max_retries = 1
stream_max_retries = 2
"""


def find_codex() -> Path | None:
    """$MITMCODEX_CODEX alone when it is set, else the repository's .tools, else PATH; None = nowhere."""
    named = os.environ.get("MITMCODEX_CODEX")
    installed = (ROOT / ".tools" / "node_modules" / ".bin" / "codex",)
    candidates = [named] if named else [*installed, shutil.which("codex")]
    return next((Path(name) for name in candidates if name and os.access(name, os.X_OK)), None)


@dataclass(frozen=True, slots=True)
class Codex:
    """A Codex with a home of its own, for one base URL.

    ``key`` is sent as Bearer. With ``native`` it is the built-in provider that is pointed at ``base_url`` (https, the
    login in ``home/auth.json``, CA in ``ca_file``), else a custom provider.
    """

    home: Path
    base_url: str
    key: str = ""
    native: bool = False
    ca_file: Path | None = None
    model: str = "gpt-5.5"
    extra: str = ""
    """More top-level lines of config.toml."""
    variables: dict[str, str] = field(default_factory=dict)

    def exec(self, prompt: str, workdir: Path, *options: str, timeout_s: float = 60) -> CodexRun:
        """One turn. Raises subprocess.TimeoutExpired."""
        binary = find_codex()
        assert binary is not None, HOW_TO_GET
        self._write_config()
        workdir.mkdir(parents=True, exist_ok=True)
        command = [str(binary), "exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access"]
        done = subprocess.run(
            [*command, *options, "-C", str(workdir), "--", prompt],
            env=self._environment(),
            cwd=workdir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return CodexRun(done.returncode, done.stdout, done.stderr)

    def _write_config(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        origin = "/".join(self.base_url.split("/")[:3])
        names = {"model": self.model, "side_url": f"{origin}/backend-api/"}
        top = [f"openai_base_url = {json.dumps(self.base_url)}"] if self.native else ['model_provider = "proxy"']
        text = QUIET.format(top="\n".join([*top, self.extra]), **{k: json.dumps(v) for k, v in names.items()})
        if not self.native:
            text += PROVIDER.format(base_url=json.dumps(self.base_url))
            text += f'env_key = "{KEY_VARIABLE}"\n' if self.key else ""
        (self.home / "config.toml").write_text(text)

    def _environment(self) -> dict[str, str]:
        """Nothing of ours but PATH: no proxy, no CA, no key of the person who runs the tests."""
        # Codex refuses its helper binaries when CODEX_HOME lies below TMPDIR, and pytest's folders lie below /tmp.
        temporary = self.home / "tmp"
        temporary.mkdir(exist_ok=True)
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.home), "CODEX_HOME": str(self.home)}
        variables |= {"TMPDIR": str(temporary), "TERM": "xterm", "NO_COLOR": "1"}
        if self.key:
            variables[KEY_VARIABLE] = self.key
        if self.ca_file:
            variables["CODEX_CA_CERTIFICATE"] = str(self.ca_file)
        return variables | self.variables


@dataclass(frozen=True, slots=True)
class CodexRun:
    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of ``--json``."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    @property
    def said(self) -> list[str]:
        """The texts of the agent's messages."""
        items = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item["text"] for item in items if item["type"] == "agent_message"]

    @property
    def errors(self) -> str:
        """All that it complained of, for the assertions of tests."""
        failed = [json.dumps(event) for event in self.events if event["type"] in ("error", "turn.failed")]
        return "\n".join([*failed, self.stderr])
