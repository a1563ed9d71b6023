"""The external timestamps of a day, as the log tells them, and as files that other programs check."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from tlog.client.errors import BadAnswer
from tlog.client.pins import write_durably
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput

# What comes from outside leads nowhere but into the directory that was given, and into no other program.
_NAME = r"anchor-[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]+\.(?:note|tsq|tsr|pem)"
_file_name = re.compile(_NAME).fullmatch
_command = re.compile(
    rf"openssl ts -verify -(?:data|queryfile) {_NAME} -in {_NAME} -CAfile tsa-roots\.pem"
    rf" -untrusted {_NAME} -attime [0-9]+"
).fullmatch


class Anchor(msgspec.Struct, frozen=True):
    """The external timestamps of one UTC day: complete, pending or missing.

    `timestamps` are the log's words: `save` them, and let the commands say whether they hold.
    """

    date: str
    anchor_status: str
    anchor_created_at: str | None = None
    checkpoint: str | None = None
    timestamps: list[Any] = []

    def save(self, directory: str | os.PathLike[str]) -> list[str]:
        """Write checkpoint, request, reply and chain of each timestamp, durably; the commands that check them there.

        A directory that is not there is made. The commands want the authority's root certificate beside them as
        `tsa-roots.pem`, from a source that you trust.
        Raises: BadAnswer when the log's answer is not of the form that it must have; then nothing is written.
        """
        commands: list[str] = []
        contents: dict[str, bytes] = {}
        try:
            for stamp in self.timestamps:
                names = stamp["files"]
                contents |= {
                    names["checkpoint"]: stamp["checkpoint"].encode(),
                    names["request"]: b64decode(stamp["request"]),
                    names["reply"]: b64decode(stamp["reply"]),
                    names["chain"]: "".join(map(_pem, stamp["chain"])).encode(),
                }
                commands += stamp["verify"]
            usable = all(map(_file_name, contents)) and all(map(_command, commands))
        except (KeyError, TypeError, AttributeError, InvalidInput) as error:
            raise BadAnswer(f"the answer is not a day's timestamps: {error!r}") from None
        if not usable:
            raise BadAnswer("the answer names files or commands that are not a timestamp's")
        if contents:
            Path(directory).mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_durably(Path(directory) / name, content)
        return commands


def _pem(certificate: str) -> str:
    b64decode(certificate)
    lines = "\n".join(textwrap.wrap(certificate, 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
