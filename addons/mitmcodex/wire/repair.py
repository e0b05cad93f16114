"""Tool calls and their outputs in a history, made to match: a provider refuses the request otherwise (pains.md P27).

A call and an output belong together by ``call_id``, an output to the last call before it. Ids may come again in a later
round (conformance.md 18): a round ends with an output or with what the user says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

OUTPUT_OF = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
INTERRUPTED = "[interrupted]"
ORPHAN = "[Output of a tool whose call is not in this conversation]"

_CALL_OF = {output: call for call, output in OUTPUT_OF.items()}
_ENDS_ROUND = ("user", "system", "developer")


class Repaired(NamedTuple):
    items: list[Any]
    losses: list[Loss]


def repaired(items: list[Any], path: str = "input") -> Repaired:
    """The items with every call answered once; the very same list when it was so.

    An output without a call becomes a user message, a call without an output gets ``[interrupted]`` right after it, a
    second output of a call and a second call of one id in one round are dropped. ``path``: where the client wrote the
    items. Raises WireError for a call or an output without ``call_id``.
    """
    history = _History(items, path)
    for index, item in enumerate(items):
        if isinstance(item, dict):
            history.take(index, item)
    return history.end()


class _History:
    def __init__(self, items: list[Any], path: str) -> None:
        self._items = items
        self._path = path
        self._losses: list[Loss] = []
        self._edits: dict[int, list[Fields]] = {}
        """Index → what stands in the item's place."""
        self._open: dict[str, int] = {}
        """Call id → index of the call that waits for its output."""
        self._answered: set[str] = set()
        self._round: set[str] = set()
        """Ids of the calls of this round."""
        self._round_ended = False

    def take(self, index: int, item: Fields) -> None:
        kind = item.get("type")
        if not isinstance(kind, str):
            kind = ""
        if kind in OUTPUT_OF:
            self._call(index, self._id(index, item))
        elif kind in _CALL_OF:
            self._round_ended = True
            self._output(index, item, self._id(index, item))
        elif item.get("role") in _ENDS_ROUND:
            self._round_ended = True

    def end(self) -> Repaired:
        for index in self._open.values():
            self._interrupt(index)
        if not self._edits:
            return Repaired(self._items, self._losses)
        places = ([item] if index not in self._edits else self._edits[index] for index, item in enumerate(self._items))
        return Repaired([item for place in places for item in place], self._losses)

    def _call(self, index: int, call_id: str) -> None:
        if self._round_ended:
            self._round.clear()
            self._round_ended = False
        if call_id in self._round:
            self._edit(index, [], "dropped", f"a second call of its round has the id {call_id!r}")
            return
        if call_id in self._open:
            self._interrupt(self._open[call_id])
        self._round.add(call_id)
        self._open[call_id] = index

    def _output(self, index: int, item: Fields, call_id: str) -> None:
        called = self._open.pop(call_id, None)
        if called is not None:
            self._answered.add(call_id)
            fitting = OUTPUT_OF[self._items[called]["type"]]
            if item["type"] != fitting:
                self._edit(index, [{**item, "type": fitting}], "changed", f"goes as {fitting}, as its call demands")
        elif call_id in self._answered:
            self._edit(index, [], "dropped", f"the call {call_id!r} has an output already")
        else:
            self._edit(index, [_orphan(item)], "changed", f"goes as a user message: no call has the id {call_id!r}")

    def _interrupt(self, index: int) -> None:
        call = self._items[index]
        output = {"type": OUTPUT_OF[call["type"]], "call_id": call["call_id"], "output": INTERRUPTED}
        self._edit(index, [call, output], "changed", f"no output follows the call: {INTERRUPTED} stands for it")

    def _edit(self, index: int, place: list[Fields], what: str, why: str) -> None:
        self._edits[index] = place
        self._losses.append(Loss(f"{self._path}[{index}]", what, why))

    def _id(self, index: int, item: Fields) -> str:
        call_id = item.get("call_id")
        if not isinstance(call_id, str) or not call_id:
            raise wrong(f"{self._path}[{index}].call_id", "is missing, must be a text")
        return call_id


def _orphan(item: Fields) -> Fields:
    output = item.get("output")
    parts = output if isinstance(output, list) else [{"type": "input_text", "text": output}] if output else []
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ORPHAN}, *parts]}
