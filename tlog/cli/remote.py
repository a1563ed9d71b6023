"""verify URL: what can be checked of a log over HTTP, told apart from what its server says.

Of the root log: the newest head is signed by the known key and extends the head that was seen the last time.
Of a stream: the server re-derives it, which is its word. Checked here is that the head it reports is the stream's, is signed
by the log, and is in the signed root log; a private stream's label is traced to its name through the genesis entry.

The known key is that of --vkey; without one it is believed at first use, and pinned where the SDK pins it.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console

from tlog.cli.verify import count
from tlog.client.heads import HeadKeeper
from tlog.client.models import VerifyResult, convert
from tlog.client.pins import Pins, state_directory
from tlog.client.session import Identity, LogKey, attest, code_hash
from tlog.client.transport import Transport, problem
from tlog.core import binding
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.hashes import Hash
from tlog.core.ids import parse_stream_id, public_label, stream_origin
from tlog.core.note import Verifier
from tlog.core.package import check_stream_note, verify_package
from tlog.core.proofs import verify_consistency
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, Refused, VerificationError

AGENT = "tlog-verify"
_TIMEOUT = 30.0
# The server re-derives a whole stream before it answers.
_LONG_TIMEOUT = 3600.0

T = TypeVar("T")


def verify_url(url: str, stream_id: str | None, api_key: str | None, vkey: str | None) -> int:
    """Verify the log at `url`, print what was found, and return the exit code.

    Raises: InvalidInput, Refused, Unavailable, VerificationError, LogKeyChanged, BadAnswer, StateUnusable.
    """
    try:
        transport = Transport(url, _TIMEOUT)
        pins = Pins(state_directory(url))
    except ValueError as error:
        raise InvalidInput("usage", str(error)) from error
    return asyncio.run(_verify(transport, pins, stream_id, api_key, vkey))


async def _verify(
    transport: Transport, pins: Pins, stream_id: str | None, api_key: str | None, vkey: str | None
) -> int:
    try:
        visit = Visit(transport)
        if stream_id is not None and api_key is not None:
            shown = await visit.attest(stream_id, api_key)
        else:
            # A configured key needs nobody to show it.
            shown = vkey or binding.member(await visit.get("/api/v1/health"), "vkey", str)
        with _told_once():
            visit.believe(LogKey(vkey, pins).accept(shown), pins)
        await visit.check_root()
        if stream_id is None:
            click.echo("not checked: streams; name one with --stream")
            return 0
        return await visit.check_stream(stream_id)
    finally:
        await transport.close()


class Visit:
    """One look at a server. Prints each finding when it is made."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._token: str | None = None

    async def attest(self, stream_id: str, api_key: str) -> str:
        """Get a token for reading one stream, and the vkey that the server shows.

        The stream is named so that none is opened for this agent.
        """
        identity = Identity(
            parse_stream_id(stream_id).tenant, AGENT, code_hash(__file__), stream_id, None
        )
        session = await attest(self._transport, identity, api_key)
        self._token = session.token
        return session.vkey

    def believe(self, log: Verifier, pins: Pins) -> None:
        """Know the log by this key."""
        self._log = log
        self._heads = HeadKeeper(pins, log, self._prove)

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, timeout: float = _TIMEOUT
    ) -> dict[str, Any]:
        """GET a JSON object. Raises what the answer describes."""
        answer = await self._transport.request(
            "GET", path, token=self._token, params=params, timeout=timeout
        )
        if answer.status != 200:
            raise problem(answer)
        return answer.object()

    async def check_root(self) -> None:
        """The newest head of the root log: signed, and an extension of the one that is remembered."""
        log = self._log
        document = await self.get("/api/v1/sth")
        note = binding.member(document, "checkpoint", str).encode()
        root = _holds(
            lambda: open_checkpoint(note, [log], log.name)[0],
            f"the newest head of the root log is not signed by {log.vkey}",
        )
        before = self._heads.newest
        self._heads.observe(root, note)
        await self._heads.check()
        click.echo(f"checked here: the root log of {log.name} has {count(root.size, 'head')}")
        click.echo(f"              its root {b64encode(root.root)} is signed by {log.vkey}")
        if before is None:
            click.echo("              no earlier head is remembered; this one is, from now on")
        else:
            click.echo(f"              it extends the {count(before.size, 'head')} seen before")

    async def check_stream(self, stream_id: str) -> int:
        """Have the stream re-derived, and trace the head that the server reports; the exit code."""
        said = None
        if self._token is not None:
            said = await self._ask(stream_id)
            if not said.verified:
                return 1
        head = await self._stream_head(stream_id)
        if said is not None:
            await self._compare(stream_id, said, head)
        entries = count(head.size, "entry")
        click.echo(
            f"checked here: the head of {stream_id}, {entries}, root {b64encode(head.root)},"
        )
        click.echo("              is signed, is this stream's, and is in the signed root log")
        if said is None:
            click.echo("not checked: its entries; the server re-derives them for an API key only")
        return 0

    async def _ask(self, stream_id: str) -> VerifyResult:
        with _spinner("the server re-derives the stream …"):
            found = await self.get("/api/v1/verify", {"stream_id": stream_id}, _LONG_TIMEOUT)
        said: VerifyResult = convert(found, VerifyResult)
        if said.verified:
            counted = count(said.checked_count, "entry")
            click.echo(f"the server's word: {stream_id}: verified, {counted}")
            return said
        first = said.first_failure_sequence
        click.echo(f"the server's word: {stream_id}: LIES, first at sequence {first}")
        for failure in said.failures:
            click.echo(f"  at sequence {failure.sequence}: {failure.check}: {failure.detail}")
        return said

    async def _stream_head(self, stream_id: str) -> Checkpoint:
        log = self._log
        try:
            document = await self.get("/api/v1/sth", {"stream_id": stream_id})
        except Refused as error:
            if self._token is not None:
                raise
            detail = f"{stream_id} is not public: give an API key of its tenant, --api-key or $TLOG_API_KEY"
            raise Refused(error.kind, detail) from error

        def traced() -> tuple[Checkpoint, Checkpoint, bytes]:
            size = binding.natural(document, "tree_size")
            root = binding.decoded(document, "root_hash", 32)
            head = binding.checkpoint(binding.member(document, "origin", str), size, root)
            check_stream_note(document, head, log)
            place = binding.member(document, "root", dict)
            signed, note = binding.open_note(
                binding.member(place, "checkpoint", str), log, log.name
            )
            binding.check_position(head, place, signed)
            return head, signed, note.data

        head, signed, note = _holds(
            traced, f"the head of {stream_id} is not a signed one in the signed root log"
        )
        self._heads.observe(signed, note)
        await self._heads.check()
        if head.origin != stream_origin(log.name, public_label(stream_id)):
            await self._check_name(stream_id, head)
        return head

    async def _check_name(self, stream_id: str, head: Checkpoint) -> None:
        """A private label says nothing; the genesis entry shows for which stream it was made."""
        page = await self.get("/api/v1/events", {"stream_id": stream_id, "limit": "1"})
        wrong = f"the tree that is shown for {stream_id} is not that stream's"
        events = binding.member(page, "events", list)
        first = _holds(lambda: binding.member(events[0] if events else None, "id", str), wrong)
        package = await self.get(f"/api/v1/proof/{first}")
        genesis = _holds(lambda: verify_package(package, self._log), wrong)
        named = genesis.entry.record["streamId"], genesis.leaf_index, genesis.head.origin
        if named != (stream_id, 0, head.origin):
            raise VerificationError(wrong)

    async def _compare(self, stream_id: str, said: VerifyResult, head: Checkpoint) -> None:
        """The tree that the server re-derived is the signed one, or what that one has grown from."""
        root = _holds(
            lambda: binding.decoded({"root_hash": said.root_hash}, "root_hash", 32),
            "the server does not say which tree it re-derived",
        )
        wrong = f"the tree that the server re-derived is not the one it signed for {stream_id}"
        if said.tree_size == head.size and root == head.root:
            return
        if not 0 < said.tree_size < head.size:
            raise VerificationError(wrong)
        proof = await self._prove(said.tree_size, head.size, stream_id=stream_id)
        _holds(lambda: verify_consistency(said.tree_size, head.size, proof, root, head.root), wrong)

    async def _prove(self, first: int, second: int, **which: str) -> list[Hash]:
        sizes = {"first": str(first), "second": str(second), **which}
        return binding.hashes(await self.get("/api/v1/proof/consistency", sizes))


def _holds(step: Callable[[], T], otherwise: str) -> T:
    """The step's result. Raises: VerificationError with the sentence `otherwise`."""
    try:
        return step()
    except (VerificationError, InvalidInput) as error:
        raise VerificationError(otherwise) from error


@contextmanager
def _told_once() -> Iterator[None]:
    """The SDK's warning about a key that nobody configured, as one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        click.echo(f"warning: {warning.message}", err=True)


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(text):
        yield
