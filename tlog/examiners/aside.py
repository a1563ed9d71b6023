"""One examiner for one question of a server, which goes on with everything else meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

from tlog.errors import Unavailable
from tlog.examiners.messages import (
    Answer,
    Fault,
    Judge,
    Progress,
    Setup,
    Verdict,
    answer_of,
    command,
)
from tlog.fsck import Report
from tlog.messages import LENGTH_BYTES, error_of, frame, length_of

_LOOK_SECONDS = 0.25
# Ingest goes first; what it leaves of a core is enough.
_NICE = 19


async def judge_aside(setup: Setup, question: Judge, gone: Callable[[], bool]) -> Report | None:
    """What a process of its own reports; None when `gone` says that nobody waits for it any more.

    The process has ended when this returns or raises, however it does. Raises: as `verify_stream`; Unavailable (busy)
    when the process ends before it has answered.
    """
    child = await asyncio.create_subprocess_exec(
        *command(_NICE), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        asked = asyncio.ensure_future(_ask(child, frame(setup) + frame(question)))
        try:
            while not (await asyncio.wait([asked], timeout=_LOOK_SECONDS))[0]:
                if gone():
                    return None
            answer = asked.result()
        finally:
            asked.cancel()
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
    if isinstance(answer, Fault):
        raise error_of(answer.failure)
    if not isinstance(answer, Verdict):
        raise AssertionError("tlog: an examiner answered another question")
    return answer.report


async def _ask(child: asyncio.subprocess.Process, question: bytearray) -> Answer:
    if child.stdin is None or child.stdout is None:
        raise AssertionError("tlog: an examiner without pipes")
    try:
        child.stdin.write(question)
        await child.stdin.drain()
        while True:
            prefix = await child.stdout.readexactly(LENGTH_BYTES)
            answer = answer_of(await child.stdout.readexactly(length_of(prefix)))
            if not isinstance(answer, Progress):
                return answer
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Unavailable(
            "busy", "the examining process ended before it had answered", 5.0
        ) from error
