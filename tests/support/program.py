"""mitmproxy's programs with our script, as processes: for what a thread can't show (memory, reloads, output)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from mitmcodex import paths
from support.records import NotSeen

WAIT_S = 30.0


class Program:
    """``config`` is the user's settings file, written to ``folder``; ``script`` is what ``-s`` names; ``command`` are
    the program and arguments of its own."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        script: Path | None = None,
        stdin: str = "",
        command: Sequence[str] = ("mitmdump",),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.config_file = folder / "mitmcodex.yaml"
        self.configure({"state_dir": str(folder / "state"), **config})
        arguments = ["--mode", "reverse:http://codex.invalid@127.0.0.1:0", "--set", f"confdir={folder / 'ca'}"]
        arguments += ["--set", f"codex_config={self.config_file}"]
        script = script or paths.script()
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(script.parent)}
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name(command[0])), "-s", str(script), *arguments, *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environ, "PYTHONUNBUFFERED": "1", **(variables or {})},
            cwd=folder,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(stdin)
        self._process.stdin.close()
        self.output = ""
        self._changed = threading.Condition()
        self._reading = threading.Thread(target=self._read, name="output of mitmdump", daemon=True)
        self._reading.start()
        self.port = int(self.wait_for(r"listening +http://127\.0\.0\.1:(\d+)")[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def configure(self, config: dict[str, Any]) -> None:
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False))

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The last of so many matches in what it has printed, as soon as they are there. Raises NotSeen."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._match(pattern, times) or self._process.poll(), WAIT_S)
            match = self._match(pattern, times)
        if match is None:
            raise NotSeen(f"{pattern!r} not seen ({found!r}) in:\n{self.output}")
        return match

    def _match(self, pattern: str, times: int) -> re.Match[str] | None:
        matches = list(re.finditer(pattern, self.output))
        return matches[times - 1] if len(matches) >= times else None

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory_bytes(self) -> int:
        """Resident set."""
        rows = subprocess.run(["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, check=True)
        return int(rows.stdout) * 1024

    def stop(self) -> int:
        """Its exit code."""
        self._process.terminate()
        code = self._process.wait(WAIT_S)
        self._reading.join(WAIT_S)
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    self.output += line
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()
