"""The ordered list of addons: the path of a request, and the place to start reading.

A request comes in by mitmproxy's client side. The gate builds its Admission (who calls, what was taken off the flow),
local answers what needs no upstream. Where mitmproxy would then open a server connection, the seam (``proxy/``) opens
an Exchange, and egress runs it: down the stages, over a transport, up the stages, to the client. Observers are told of
each step and can't change anything.
"""

from __future__ import annotations

from typing import Any

from mitmproxy import ctx

from mitmcodex import logfilter, start
from mitmcodex.adapt import Adapt
from mitmcodex.alias import Alias
from mitmcodex.announce import Announce
from mitmcodex.catalogs import Catalogs
from mitmcodex.classify import Classify
from mitmcodex.count import Count
from mitmcodex.credentials import Credentials
from mitmcodex.egress import Egress
from mitmcodex.emulate import Emulate
from mitmcodex.enlist import Enlist
from mitmcodex.fanout import Fanout
from mitmcodex.gate import Gate
from mitmcodex.identity import Identity
from mitmcodex.intake import Intake
from mitmcodex.lists import Lists
from mitmcodex.local import Local
from mitmcodex.ollama import Ollama
from mitmcodex.process import Process
from mitmcodex.record import Record
from mitmcodex.remember import Remember
from mitmcodex.reread import Reread
from mitmcodex.resources import Resources
from mitmcodex.settings import Settings
from mitmcodex.slim import Slim
from mitmcodex.stored import Stored
from mitmcodex.translate import Translate
from mitmcodex.upstream.tokens import TokenCounter


def build() -> list[Any]:
    """Called by ``main.py`` at the first load and at each reload; stops the start when a setting is wrong."""
    logfilter.install()
    start.prepare()
    process = Process.of(ctx.master)
    resources = Resources(process)
    catalogs, tokens = Catalogs(process, resources), TokenCounter()
    stages = [
        Enlist(process, catalogs),  # the user's names in Codex's model list, its age
        Alias(process, catalogs),  # which model and provider are meant
        Translate(process, tokens),  # the client's protocol <-> canonical form
        Fanout(process),  # n answers by as many exchanges
        Remember(process, resources),  # previous_response_id, for providers that keep no responses
        Emulate(process, tokens),  # stop sequences and token limits that the provider refuses
        Classify(process, resources),  # what an answer means: retry, status, error
        Credentials(resources),  # who pays
        Adapt(process),  # canonical form <-> what the provider speaks and accepts
        Identity(resources, process.conversations),  # who the upstream sees: next to the wire
    ]
    observers = [
        Record(process),  # dump files
    ]
    egress = Egress(process, resources, stages, observers)
    process.begin = egress.begin
    return [
        Settings(process),  # settings as mitmproxy options, live edits
        Reread(process),  # the settings file again when it changes
        Slim(),  # drops what mitmproxy brings and a reverse proxy under mitmdump does not need
        Intake(process),  # client connections become exchanges; nothing else may leave
        # who may come in, how big, what is taken off the flow
        Gate(lambda: process.current, process.admissions, lambda: process.client_keys),
        Local(process.admissions),  # answers that need no upstream
        Lists(process, catalogs),  # model lists
        Ollama(process, catalogs),  # what Ollama says of itself
        Stored(process, resources),  # kept responses, read and deleted
        Count(process, resources, tokens),  # tokens of a request
        *stages,
        *observers,
        egress,  # runs each exchange
        Announce(process),  # the start block, the server-info file
    ]
