"""The demo, told step by step. Whatever does not come out as it should ends it with an error."""

from __future__ import annotations

import asyncio
import shlex
import time
from pathlib import Path

from tlog.cli.demo import deciding, evidence, faces, outside, planted
from tlog.cli.demo.opening import ORIGIN, WITNESSES, Site
from tlog.cli.demo.processes import Processes
from tlog.cli.demo.recorder import Recorded
from tlog.cli.demo.stage import Check, Stage, shell, typed

#: What is several megabytes or holds keys, and goes when nobody wants to keep it.
BULKY = (
    *("log", "copy", "state", "stranger", "authority", "output"),
    *WITNESSES,
    *(f"{prefix}-{name}" for name in WITNESSES for prefix in ("face", "state")),
)


class Story:
    """One run: a home directory, a log in it with those who watch it, and what was recorded."""

    def __init__(self, home: Path, port: int, *, kept: bool) -> None:
        self._home = home
        self._port = port
        self._kept = kept

    def tell(self) -> None:
        """From an empty directory to a log that is caught lying. Raises: DemoError, TlogError."""
        stage = Stage(self._home, kept=self._kept)
        stage.plain(
            "A transparency log, from an event to a checked proof, and to a lie that is caught.",
            "bold",
        )
        stage.plain(
            "Servers, witnesses, classifier, cases and checks are real; reviewers and complaint are not."
        )
        with Processes() as processes:
            site = Site(stage, processes, self._port)
            site.open()
            trained = deciding.train_one(stage)
            cases, proofs = asyncio.run(deciding.record(stage, site.url, trained))
            case, review = deciding.reviewed(cases)
            case_id = case.decision.case_id
            evidence.save_submitted(site, case)
            outside.show_cosigned_head(site)
            outside.show_anchor(site)
            outside.event_proofs(site, review.event_id)
            evidence.verify_whole(site)
            evidence.check_forms(site)
            evidence.check_hash(site)
            evidence.check_all_proofs(site, proofs)
            site.stop_log()
            planted.change_one_byte(site, case_id, review.sequence_counter)
            faces.show_two_faces(site, case_id)
        self._repeat(stage, site, cases, len(proofs))

    def _repeat(self, stage: Stage, site: Site, cases: list[Recorded], proofs: int) -> None:
        events = 3 + sum(len(case.receipts) for case in cases)
        stage.plain(
            f"\n{events} events recorded, {proofs} proofs verified, the planted change found, the fork caught, "
            f"in {time.monotonic() - stage.started:.0f} s.",
            "bold green",
        )
        home = shlex.quote(str(self._home))
        stage.plain("\nA stranger repeats the checks with these files and nothing else:")
        for name in ("vkey", *(f"{name}.vkey" for name in WITNESSES)):
            stage.plain(f'    {name.partition(".")[0].upper()}="$(cat {home}/{name})"')
        for check in stage.checks:
            stage.plain("    " + _typed(check))
        if not self._kept:
            stage.plain(f"rm -r {home} when you are done; --keep keeps log and witnesses as well.")
            return
        stage.plain("and the log, its changed copy and the witnesses are there too:")
        for name in ("log", "copy"):
            stage.plain("    " + shell([*typed("tlog"), "verify", f"{self._home}/{name}"]))
        for name in WITNESSES:
            stage.plain(
                "    " + shell([*typed("witness"), "evidence", "list", f"{self._home}/{name}"])
            )
        address = site.url.removeprefix("http://")
        stage.plain(
            "    "
            + shell([*typed("tlog"), "serve", f"{self._home}/log", "--listen", address])
            + " &"
        )
        state = shlex.quote(f"{self._home}/stranger")
        words = [*typed("tlog"), "verify", site.url, "--vkey", "$VKEY"]
        stage.plain(f"    TLOG_STATE={state} {shell(words)}    # as {ORIGIN}, from outside")


def _typed(check: Check) -> str:
    if check.words[:2] == ("sh", "-c"):
        return check.words[2]
    text = shell([*typed(check.words[0]), *check.words[1:]])
    if check.cwd is not None:
        text = f"(cd {shlex.quote(str(check.cwd))} && {text})"
    return text if check.expect == 0 else f"{text}    # exit code {check.expect}"
