"""A real Slurm on this host, started and stopped in seconds, with ways to break it.

    python tests/cluster/local_slurm.py start DIR     leaves it running and prints `export SLURM_CONF=...`
    python tests/cluster/local_slurm.py stop DIR

How it starts and where it lies is in slurm_daemons.py; here are its jobs, and what a test asks of it.
"""

import argparse
import re
import sys
from datetime import datetime

import pytest
from debian import wait_until
from slurm_daemons import SlurmDaemons

#: squeue's name of a field by ours.
JOB_FIELDS = {
    "number": "JobID",
    "id": "JobArrayID",
    "state": "State",
    "name": "Name",
    "partition": "Partition",
    "node": "NodeList",
    "restarts": "RestartCnt",
    "reason": "Reason",
    "workdir": "WorkDir",
}
SEPARATOR = "\x1f"


class LocalSlurm(SlurmDaemons):
    """A Slurm cluster of one host, with its jobs; parameters as of `SlurmDaemons`."""

    _first_job = 1

    def drain(self, node: str) -> None:
        """Let a node take no more jobs."""
        self.call("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")

    def resume(self, node: str) -> None:
        """Let a drained node, or one that was called down, take jobs again."""
        self.call("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def cancel(self, job_id: str) -> None:
        """Cancel a job as a user does."""
        self.call("scancel", job_id)

    def expire(self, job_id: str, seconds: int = 1) -> None:
        """Move the end of a running job's time limit to `seconds` from now.

        A limit that sbatch takes is whole minutes. Slurm looks about every half minute whose time is over, and the
        ``TimeLimit`` that it shows of the job is no longer what was asked for.
        """
        self.call("scontrol", "update", f"JobId={job_id}", f"EndTime=now+{seconds}")

    def submit(self, script: str, *options: str) -> str:
        """Submit a line of shell with options of sbatch, and return the number of the job."""
        return self.call("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}").strip()

    def jobs(self) -> list[dict[str, str]]:
        """List the jobs since the last :meth:`reset` that squeue still knows, with the keys of `JOB_FIELDS`.

        Elements of arrays are jobs of their own, with an `id` like ``7_2``.
        """
        fields = ",".join(f"{field}:{SEPARATOR}" for field in JOB_FIELDS.values())
        listing = self.call("squeue", "--states=all", "--array", "--noheader", f"--Format={fields}")
        rows = [dict(zip(JOB_FIELDS, line.split(SEPARATOR), strict=False)) for line in listing.splitlines()]
        return sorted(
            (row for row in rows if int(row["number"]) >= self._first_job), key=lambda row: int(row["number"])
        )

    def finished(self) -> list[dict[str, str | float]]:
        """List the ends of jobs since the last :meth:`reset`, a requeued job once for each, from Slurm's jobcomp file.

        Keys are those of the file (JobId, Name, JobState, Partition, NodeList, Tres, ...), and `elapsed` in seconds,
        0 for a job that never ran.
        """
        file = self.folder / "log" / "jobcomp.txt"
        rows = []
        for line in file.read_text().splitlines() if file.exists() else []:
            row: dict[str, str | float] = dict(re.findall(r"(\w+)=(.*?) ?(?= \w+=|$)", line))
            if int(row["JobId"]) >= self._first_job:
                row["elapsed"] = _elapsed(row["StartTime"], row["EndTime"])
                rows.append(row)
        return rows

    def wait_for(self, job_id: str, *states: str, seconds: float = 30) -> str:
        """Wait until a job is in one of `states`, and return which.

        Raises
        ------
        TimeoutError
            It is not after `seconds`; the message says in which it is.
        """
        state = ""

        def reached() -> bool:
            nonlocal state
            state = self.call("squeue", "--states=all", "--noheader", "--format=%T", f"--jobs={job_id}").strip()
            return state in states

        try:
            wait_until(reached, seconds, f"job {job_id} to be {' or '.join(states)}", period=0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}, found {state}") from None
        return state

    def reset(self) -> None:
        """Make the cluster as it was when it started: no jobs, all nodes idle, the controller up."""
        self.start_controller()
        for node in self.nodes:
            self._start_node(node)
        self._end_jobs()
        self._wait_for_nodes(resume=True)
        self._first_job = max([self._first_job, *(int(job["number"]) + 1 for job in self.jobs())])


def _elapsed(start: str, end: str) -> float:
    if "Unknown" in (start, end):
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def main() -> None:
    """Start or stop a cluster from a shell."""
    parser = argparse.ArgumentParser(description="A real Slurm on this host.")
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", metavar="DIR", help="where everything of the cluster goes")
    parser.add_argument("--nodes", type=int, default=4, metavar="N", help="nodes (default 4)")
    parser.add_argument("--cpus", type=int, default=2, metavar="C", help="cores of a node (default 2)")
    parser.add_argument("--memory", type=int, default=4000, metavar="MB", help="memory of a node (default 4000)")
    parser.add_argument("--accounting", action="store_true", help="with slurmdbd and MariaDB, for sacct")
    arguments = parser.parse_args()
    cluster = LocalSlurm(
        arguments.folder, arguments.nodes, arguments.cpus, arguments.memory, accounting=arguments.accounting
    )
    if arguments.action == "stop":
        cluster.stop()
        return
    try:
        cluster.start()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        sys.exit(str(missing))
    print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}")


if __name__ == "__main__":
    main()
