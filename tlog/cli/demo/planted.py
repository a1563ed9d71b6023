"""Chapter 5: one stored byte is changed behind the log's back, and the check has to name the entry."""

from __future__ import annotations

from tlog.cli.demo import recorder
from tlog.cli.demo.change import copy_and_change
from tlog.cli.demo.opening import STREAM, Site
from tlog.cli.demo.processes import DemoError


def change_one_byte(site: Site, case_id: str, sequence: int) -> None:
    """Copy the store, change a byte of the review at `sequence`, verify. Raises: DemoError unless just that entry is named."""
    stage = site.stage
    stage.title("One byte is changed, behind the log's back")
    copy = site.home / "copy"
    old, new = (
        f'"human_decision":"{recorder.CODES[label]}"'.encode() for label in ("MALIGNANT", "BENIGN")
    )
    offset = copy_and_change(site.log, copy, STREAM, sequence, old, new) + len(old) - 2
    stage.line(f"The store is copied. Entry {sequence} is the review of {case_id}, in which a")
    stage.line("human found C5, malignant. In the copy one byte makes it C2, benign: 5 becomes 2.")
    stage.line(f"Byte {offset} of {copy / 'log' / 'data.mdb'}.")
    answer = stage.run("tlog", "verify", copy, "--vkey", "$VKEY", expect=1)
    for line in answer.splitlines():
        stage.line(line)
    if f"{STREAM}: LIES, first at sequence {sequence}\n" not in answer:
        raise DemoError(f"the entry that was changed, {sequence}, was not named")
    stage.line(
        f"Found: it lies at sequence {sequence}, which is the one that was changed.", "green"
    )
