"""Real clients, unmodified, in child processes: the official SDKs for Python and Node.js, Claude Code and opencode.

    run = Sdk(tmp_path, proxy.origin, "k-1").python("import openai\nshow(openai.OpenAI().models.list())")
    assert run.shown[0]["data"][0]["id"] == "gpt-5.5"

Every child has a home of its own, no variable of the person who runs the tests but PATH, and the base URL and the key
as the only things set (clients.md); what is switched off beside is telemetry and updates. ``origin`` has no path.
Installed by ``make clients``; a client that is missing fails the test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / ".tools"
STAMP = TOOLS / ".clients-installed"
HOW_TO_GET = "The real clients are not installed. Get them with: make clients"
MODEL = "gpt-5.5"

PYTHON_OPENING = """\
import json, os
def show(value):
    print(json.dumps(value, default=lambda model: model.model_dump(mode="json", exclude_none=True)), flush=True)
"""
NODE_OPENING = "const show = (value) => console.log(JSON.stringify(value));\n"

QUIET_CLAUDE = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_MAX_RETRIES": "1",
}
QUIET_OPENCODE = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    # It asks the package registry at every start, whatever is switched off: port 9 of loopback refuses.
    "npm_config_registry": "http://127.0.0.1:9/",
}
OPENCODE_PROVIDERS = {
    "@ai-sdk/openai-compatible": "proxy",
    "@ai-sdk/openai": "openai",
    "@ai-sdk/anthropic": "anthropic",
}
"""Its id of a provider by the package that speaks for it: Chat Completions, Responses, Messages."""


@dataclass(frozen=True, slots=True)
class Run:
    code: int
    stdout: str
    stderr: str

    @property
    def shown(self) -> list[Any]:
        """What the child printed as lines of JSON. Raises AssertionError with its complaint when it failed."""
        assert self.code == 0, f"exit code {self.code}\n{self.stdout[-2000:]}\n{self.stderr[-4000:]}"
        # Not splitlines: a line may hold U+2028.
        return [json.loads(line) for line in self.stdout.split("\n") if line.startswith(("{", "[", '"'))]


@dataclass(frozen=True, slots=True)
class Sdk:
    """The SDKs, led to ``origin`` by the variables that they read themselves.

    A script prints with ``show(value)``; it may read BASE_URL (the origin) and API_KEY.
    """

    home: Path
    origin: str
    key: str

    def python(self, script: str, timeout_s: float = 60) -> Run:
        """With anthropic, google-genai, ollama, openai and openai-agents."""
        command = [str(TOOLS / "py" / "bin" / "python"), "-c", PYTHON_OPENING + script]
        return run_child(command, self._variables(), self.home, timeout_s)

    def node(self, script: str, timeout_s: float = 60) -> Run:
        """An ES module with openai, @anthropic-ai/sdk, ai, @ai-sdk/openai, @ai-sdk/openai-compatible and zod."""
        command = ["node", "--input-type=module", "--eval", NODE_OPENING + script]
        # Without a file, imports are looked for from the working directory on.
        return run_child(command, self._variables(), self.home, timeout_s, workdir=TOOLS)

    def _variables(self) -> dict[str, str]:
        return {
            "BASE_URL": self.origin,
            "API_KEY": self.key,
            "OPENAI_BASE_URL": f"{self.origin}/v1",
            "OPENAI_API_KEY": self.key,
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            "ANTHROPIC_BASE_URL": self.origin,
            "ANTHROPIC_API_KEY": self.key,
            "GOOGLE_GEMINI_BASE_URL": self.origin,
            "GEMINI_API_KEY": self.key,
            "OLLAMA_HOST": self.origin,
        }


@dataclass(frozen=True, slots=True)
class Claude:
    """Claude Code in print mode."""

    home: Path
    origin: str
    key: str
    model: str = "claude-sonnet-4-6"
    variables: dict[str, str] = field(default_factory=dict)

    def ask(self, prompt: str, workdir: Path, *options: str, timeout_s: float = 90) -> ClaudeRun:
        """One turn with its tool loop; files may be edited and commands run. Raises subprocess.TimeoutExpired."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True}))
        given = {"ANTHROPIC_BASE_URL": self.origin, "ANTHROPIC_API_KEY": self.key}
        given |= {"ANTHROPIC_MODEL": self.model, "ANTHROPIC_SMALL_FAST_MODEL": self.model}
        command = [str(TOOLS / "node_modules" / ".bin" / "claude"), "-p", prompt, "--output-format", "json"]
        allowed = ["--permission-mode", "acceptEdits", "--allowedTools", "Bash,Read,Write,Edit"]
        variables = {**given, **QUIET_CLAUDE, **self.variables}
        run = run_child([*command, *options, *allowed], variables, self.home, timeout_s, workdir)
        return ClaudeRun(run.code, run.stdout, run.stderr)


@dataclass(frozen=True, slots=True)
class ClaudeRun(Run):
    @property
    def result(self) -> dict[str, Any]:
        """Its closing report: ``result`` (text), ``is_error``, ``num_turns``, ``usage``."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    @property
    def text(self) -> str:
        return str(self.result["result"])


@dataclass(frozen=True, slots=True)
class OpenCode:
    """opencode, not interactive. ``npm`` is the package that decides the protocol: a key of OPENCODE_PROVIDERS."""

    home: Path
    origin: str
    key: str
    npm: str = "@ai-sdk/openai-compatible"
    model: str = MODEL

    def ask(self, prompt: str, workdir: Path, *options: str, timeout_s: float = 90) -> OpenCodeRun:
        """One turn with its tool loop; everything is allowed. Raises subprocess.TimeoutExpired."""
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / "opencode.json").write_text(json.dumps(self._settings()))
        command = [str(TOOLS / "node_modules" / ".bin" / "opencode"), "run", "--format", "json"]
        variables = {**QUIET_OPENCODE, "PWD": str(workdir)}
        chosen = ["--model", f"{OPENCODE_PROVIDERS[self.npm]}/{self.model}"]
        run = run_child([*command, *chosen, *options, prompt], variables, self.home, timeout_s, workdir)
        return OpenCodeRun(run.code, run.stdout, run.stderr)

    def _settings(self) -> dict[str, Any]:
        name = OPENCODE_PROVIDERS[self.npm]
        limits = {"context": 272000, "output": 32000}
        model = {"name": "m", "tool_call": True, "attachment": True, "reasoning": True, "limit": limits}
        options = {"baseURL": f"{self.origin}/v1", "apiKey": self.key}
        return {
            "$schema": "https://opencode.ai/config.json",
            "autoupdate": False,
            "share": "disabled",
            "model": f"{name}/{self.model}",
            "small_model": f"{name}/{self.model}",
            "enabled_providers": [name],
            "provider": {name: {"npm": self.npm, "name": name, "options": options, "models": {self.model: model}}},
            "permission": {"*": "allow"},
        }


@dataclass(frozen=True, slots=True)
class OpenCodeRun(Run):
    @property
    def text(self) -> str:
        """All that the assistant said."""
        return "".join(event["part"]["text"] for event in self.shown if event["type"] == "text")

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tool calls that it ran: ``tool``, ``callID``, ``state`` with input and output."""
        return [event["part"] for event in self.shown if event["type"] == "tool_use"]


def run_child(
    command: list[str], variables: dict[str, str], home: Path, timeout_s: float, workdir: Path | None = None
) -> Run:
    """A child with nothing of ours but PATH. Raises subprocess.TimeoutExpired; its children end with it."""
    assert STAMP.exists(), HOW_TO_GET
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary), "TERM": "dumb", "NO_COLOR": "1"}
    printed, complained = home / "stdout.txt", home / "stderr.txt"
    # Files, not pipes: a grandchild that lives on would hold a pipe open.
    with printed.open("wb") as stdout, complained.open("wb") as stderr:
        child = subprocess.Popen(
            command,
            env={**own, **variables},
            cwd=workdir or home,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout_s)
        finally:
            _end_group(child)
    return Run(code, printed.read_text(errors="replace"), complained.read_text(errors="replace"))


def _end_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the whole group is gone
    child.wait()
