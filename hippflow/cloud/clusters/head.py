"""The head node of a cluster: where this runs, or reached through a command such as ssh."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from hippflow.errors import CloudError

#: Which cluster a node belongs to, as ParallelCluster writes it on every node: stack_name=...
NODE_FILE = Path("/etc/parallelcluster/cfnconfig")

#: Seconds within which a command there must have ended.
TIMEOUT = 300.0

_ADVICE = "run this on the head node, or give --head 'ssh -i KEY ec2-user@ADDRESS'"


def require_cluster(cluster: str, head: str | None = None) -> None:
    """Make sure that what is asked here, or there, is asked of the cluster that is meant.

    A computer may have a Slurm of its own and products of its own; what these say must not decide.

    Parameters
    ----------
    cluster : str
    head : str, optional
        Command that runs another one on the head node, such as ``ssh -i key.pem ec2-user@203.0.113.5``.

    Raises
    ------
    CloudError
        It is no node of this cluster, or cannot be reached.
    """
    if head is None:
        text = NODE_FILE.read_text() if NODE_FILE.is_file() else ""
    else:
        text = run_there(head, "cat", str(NODE_FILE))
    found = re.search(r"^stack_name=[\"']?([\w-]+)", text, re.MULTILINE)
    if not found or found[1] != cluster:
        place = f"the machine behind {head}" if head else "this machine"
        other = f"one of {found[1]}" if found else f"none of any ({NODE_FILE})"
        raise CloudError(f"{place}: expected a node of the cluster {cluster}, found {other}; {_ADVICE}")


def run_there(head: str | None, *command: str, timeout: float = TIMEOUT) -> str:
    """Run a command on the head node and return what it prints.

    Raises
    ------
    CloudError
        There is no such command, or it failed.
    """
    called = [*shlex.split(head), shlex.join(command)] if head else [*command]
    # The user's settings for these commands hide other users' jobs, and change how times are written.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SQUEUE_", "SLURM_TIME"))}
    name = next(word for word in command if word != "env" and "=" not in word)
    try:
        done = subprocess.run(
            called, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except FileNotFoundError as error:
        raise CloudError(f"{called[0]}: expected this command, found none of the name; correct --head") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CloudError(f"{called[0]}: expected it to run {name}, found: {error}; {_ADVICE}") from error
    if done.returncode == 127:  # of shells and of env
        raise CloudError(f"{name}: expected this command {'there' if head else 'here'}, found none; {_ADVICE}")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise CloudError(f"{name}: expected an answer, found exit status {done.returncode}, saying: {said}; {_ADVICE}")
    return done.stdout


def newest_file(folder: str | Path, head: str | None = None) -> float | None:
    """Return when the last file below a folder came to be as it is, in seconds since 1970; None if there is no file.

    It is the time of the last change of content, name or place (ctime), not the one that copies take along (mtime).

    Raises
    ------
    CloudError
        There is no such folder.
    """
    times = run_there(head, "find", str(folder), "!", "-type", "d", "-printf", "%C@\\n").split()
    return max(map(float, times), default=None)
