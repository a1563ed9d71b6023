"""proof verify: check a proof package or receipt offline."""

from __future__ import annotations

import json
from pathlib import Path

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def proof() -> None:
    """Proofs: check them without the log.

    \b
    Example:
      tlog proof verify proof.json --vkey log.example.com+97c8f29c+Aersd4VN…
    """


@proof.command("verify")
@click.argument("file", type=FILE)
@click.option(
    "--vkey",
    required=True,
    envvar="TLOG_VKEY",
    help="The log's vkey, from a source that you trust; or $TLOG_VKEY.",
)
@click.option(
    "--policy", type=FILE, help="C2SP tlog-policy file: which witnesses must have cosigned."
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def verify(file: Path, vkey: str, policy: Path | None, as_json: bool) -> int:
    """Check FILE offline and report four verdicts: integrity, position, witnessed, time.

    FILE is a proof package (GET /api/v1/proof/EVENT_ID), a receipt (the answer to POST /api/v1/events) or the
    answer to a batch. Nothing is asked of the log or of anybody else. The vkey must not come from where the file
    comes from: whoever makes up a proof makes up a key as well.

    \b
    integrity   the entry is valid, unaltered, and leads to a head of its stream
    position    that head is in the root log, under a root that the log's key signed
    witnessed   the witnesses that the policy asks for cosigned that root
    time        the time that the log claims, and the time that somebody else proves

    \b
    Exit code 0: integrity and position are shown, and the witnesses if --policy asks for them.
    Exit code 1: something is wrong.
    Exit code 4: nothing is wrong and something is not shown yet, such as a publication. Fetch the
                 package again with ?wait=published.

    \b
    Examples:
      tlog proof verify proof.json --vkey "$(cat vkey)"
      tlog proof verify proof.json --vkey "$(cat vkey)" --policy policy.txt --json
    """
    from tlog.core.policy import parse_policy
    from tlog.verdicts import FAIL, PASS, verify_file

    asked = None if policy is None else parse_policy(policy.read_bytes())
    verdicts = verify_file(file.read_bytes(), vkey, asked)
    if as_json:
        click.echo(json.dumps(verdicts.as_json(), indent=2, ensure_ascii=False))
    else:
        for line in verdicts.lines():
            click.echo(line)
    four = (verdicts.integrity, verdicts.position, verdicts.witnessed, verdicts.time)
    if any(one.verdict == FAIL for one in four):
        return 1
    wanted = asked is not None and asked.quorum is not None
    shown = verdicts.verified and (not wanted or verdicts.witnessed.verdict == PASS)
    return 0 if shown else 4
