"""Errors and frames between processes of ours."""

from __future__ import annotations

import msgspec
import pytest

from tlog import messages
from tlog.errors import (
    CorruptStore,
    InvalidInput,
    Refused,
    TlogError,
    Unavailable,
    VerificationError,
)
from tlog.messages import Failure, error_of, failure, frame, length_of


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("wrong-type", "no", "/a"),
        InvalidInput("wrong-type", "no"),
        Refused("producer-gap", "no", "/b", expected=4),
        Unavailable("busy", "no", 7.5),
        CorruptStore("no"),
        VerificationError(),
        TlogError("internal", "no"),
    ],
)
def test_an_error_is_itself_on_the_other_side(error: TlogError) -> None:
    """Class, kind, sentence and members, over the wire."""
    data = msgspec.msgpack.encode(failure(error))
    back = error_of(msgspec.msgpack.decode(data, type=Failure))
    assert (type(back), vars(back), str(back)) == (type(error), vars(error), str(error))


def test_a_frame_is_a_message_after_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    message = failure(CorruptStore("x" * 300))
    whole = frame(message)
    assert length_of(whole[:4]) == len(whole) - 4 > 300
    assert msgspec.msgpack.decode(whole[4:], type=Failure) == message
    monkeypatch.setattr(messages, "MAX_MESSAGE", len(whole) - 5)
    with pytest.raises(AssertionError, match="too long"):
        frame(message)
