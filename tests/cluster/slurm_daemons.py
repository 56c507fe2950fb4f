"""The daemons of a real Slurm on this host: started and stopped in seconds, one by one where a test breaks it.

Everything of it lies in one folder: munge key and socket, configuration, state and logs, and its ports are its own, so
that several run beside each other and beside a Slurm that the machine has. It needs no root. There are no cgroups:
memory is watched by polling, and a job over it is FAILED rather than OUT_OF_MEMORY.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from debian import Daemons, end_processes, free_ports, listens, processes_with, require, wait_until
from slurm_files import CLUSTER, CONFIGURATION, DATABASE_CLIENT, DATABASE_CONFIGURATION, NODE, PROLOG, SRUN

COMMANDS = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "srun": "slurm-client"}
ACCOUNTING_COMMANDS = {
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
}

#: What a cluster makes anew in its folder.
FOLDERS = ("bin", "database", "log", "run", "spool", "state")


class SlurmDaemons:
    """The daemons of a Slurm cluster of one host.

    Parameters
    ----------
    folder : path
        Where everything of it goes. A cluster that already runs there is stopped, and what is left of it replaced.
    nodes : int
        They are called n1, n2, ... The last one is partition ``ondemand``, the others are ``spot``, the default.
    cpus, memory : int
        Cores and MB of a node, as Slurm counts them; the host need not have them.
    accounting : bool
        Start slurmdbd on a private MariaDB, so that ``sacct`` works.
    memory_scheduling : bool
        Whether Slurm places jobs by memory too (CR_Core_Memory) or by cores alone (CR_Core, ParallelCluster's default).
    slurmd_timeout : int
        Seconds after which a node that does not answer is lost; it takes Slurm up to 20 more to notice.
    min_job_age : int
        Seconds for which finished jobs stay in ``squeue --states=all``.

    Attributes
    ----------
    environment : dict of str to str
        Variables that a caller of sbatch, squeue, scontrol, scancel and srun needs besides its own.
    """

    def __init__(
        self,
        folder: str | Path,
        nodes: int = 4,
        cpus: int = 2,
        memory: int = 4000,
        accounting: bool = False,
        memory_scheduling: bool = True,
        slurmd_timeout: int = 15,
        min_job_age: int = 300,
    ):
        self.folder = Path(folder).resolve()
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus, self.memory = cpus, memory
        self.accounting, self.memory_scheduling = accounting, memory_scheduling
        self.slurmd_timeout, self.min_job_age = slurmd_timeout, min_job_age
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._munge = self.folder / "run" / "munge.socket"
        self._paths: dict[str, str] = {}
        self._daemons = Daemons(self.folder / "log", self.environment | {CLUSTER: str(self.folder)})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the cluster and wait until its nodes are idle."""
        self._paths = require(COMMANDS | (ACCOUNTING_COMMANDS if self.accounting else {}))
        if len(str(self.folder)) > 80 or " " in str(self.folder):
            raise ValueError(f"{self.folder}: expected a path of at most 80 characters without spaces, for its sockets")
        self.stop()
        for name in FOLDERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(parents=True)
        try:
            settings = self._write_files()
            self._daemons.start(
                "munged",
                self._paths["munged"],
                "--foreground",
                "--force",
                f"--key-file={self.folder}/munge.key",
                f"--socket={self._munge}",
                f"--pid-file={self.folder}/run/munged.pid",
                f"--log-file={self.folder}/log/munged.log",
                f"--seed-file={self.folder}/run/munged.seed",
            )
            self._daemons.wait("munged", self._munge.exists)
            if self.accounting:
                self._start_accounting(settings)
            self.start_controller()
            for node in self.nodes:
                self._start_node(node)
            self._wait_for_nodes()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all jobs, daemons and what they left behind; safe to call at any time."""
        ours = {CLUSTER: str(self.folder)}
        started_here = bool(self._daemons)
        if "slurmctld" in map(_name, processes_with(**ours)):
            self._end_jobs()
        self._daemons.end("slurmctld", *self.nodes)
        self._daemons.end("slurmdbd")
        self._daemons.end("mariadbd", "munged")
        end_processes(lambda: processes_with(**ours))
        if started_here:  # not where `stop` is all that this process does: the user's own shell may have our variables
            end_processes(lambda: processes_with(**self.environment))

    def start_controller(self) -> None:
        """Start slurmctld, with the state that it had, and wait until it answers."""
        if not self._daemons.alive("slurmctld"):
            self._daemons.start("slurmctld", self._paths["slurmctld"], "-D")
            self._daemons.wait("slurmctld", lambda: self._try("scontrol", "ping").returncode == 0)

    def stop_controller(self) -> None:
        """Stop slurmctld; jobs go on, and commands fail until :meth:`start_controller`."""
        self._daemons.end("slurmctld")

    def kill_node(self, node: str, notice: bool = False) -> None:
        """Kill slurmd of a node and all that runs there, as when a machine is switched off.

        Parameters
        ----------
        node : str
        notice : bool
            Tell slurmctld, as ParallelCluster's daemon does when an instance is gone. Else Slurm has to find out, which
            takes it `slurmd_timeout` and up to 20 s more.
        """

        def here() -> list[int]:
            return processes_with(**{CLUSTER: str(self.folder), NODE: node})

        def slurms_own() -> list[int]:
            return [number for number in here() if _name(number) in ("slurmd", "slurmstepd")]

        end_processes(slurms_own)  # first, that nothing tells slurmctld that the jobs ended
        end_processes(here)
        self._daemons.end(node)
        if notice:
            self.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed")

    def restart_node(self, node: str) -> None:
        """Start slurmd of a node that was killed, and wait until jobs may run there."""
        self._start_node(node)
        self._wait_for_nodes(node)

    def call(self, *command: str) -> str:
        """Run a command of Slurm and return what it prints.

        Raises
        ------
        RuntimeError
            It failed; the message has its last words.
        """
        done = self._try(*command)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _write_files(self) -> dict[str, Any]:
        """Write key, prolog, wrapper and configuration; return what the configuration was filled with."""
        controller, dbd, database, *slurmds = free_ports(3 + len(self.nodes))
        host = socket.gethostname().split(".")[0]
        settings = {
            "folder": self.folder,
            "srun": self._paths["srun"],
            "cluster": f"local{controller}",
            "host": host,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "munge": self._munge,
            "controller_port": controller,
            "dbd_port": dbd,
            "database_port": database,
            "password": secrets.token_hex(16),
            "select": "CR_Core_Memory" if self.memory_scheduling else "CR_Core",
            "accounting": "AccountingStorageType=accounting_storage/none",
            "slurmd_timeout": self.slurmd_timeout,
            "min_job_age": self.min_job_age,
            "nodes": "\n".join(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
                f"RealMemory={self.memory} State=UNKNOWN"
                for node, port in zip(self.nodes, slurmds, strict=True)
            ),
            "spot": ",".join(self.nodes[:-1] or self.nodes),
            "ondemand": self.nodes[-1],
        }
        if self.accounting:
            settings["accounting"] = DATABASE_CLIENT.format_map(settings)
        key = self.folder / "munge.key"
        key.unlink(missing_ok=True)
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        for name, text, mode in (
            ("slurm.conf", CONFIGURATION, 0o644),
            ("slurmdbd.conf", DATABASE_CONFIGURATION, 0o600),
            ("prolog", PROLOG, 0o755),
            ("bin/srun", SRUN, 0o755),
        ):
            file = self.folder / name
            file.touch()
            file.chmod(mode)
            file.write_text(text.format_map(settings))
        return settings

    def _start_accounting(self, settings: dict[str, Any]) -> None:
        data = f"--datadir={self.folder}/database"
        as_user = f"--user={settings['user']}"
        with (self.folder / "log" / "install-db.log").open("w") as log:
            subprocess.run(
                [self._paths["mariadb-install-db"], "--no-defaults", data, as_user, "--skip-test-db"],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
        grants = self.folder / "run" / "grants.sql"
        grants.touch(0o600)
        grants.write_text(
            f"CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{settings['password']}';\n"
            "GRANT ALL ON slurm.* TO slurm@'127.0.0.1';\n"
        )
        self._daemons.start(
            "mariadbd",
            self._paths["mariadbd"],
            "--no-defaults",
            data,
            as_user,
            f"--socket={self.folder}/run/database.socket",
            f"--pid-file={self.folder}/run/database.pid",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--port={settings['database_port']}",
            f"--init-file={grants}",
        )
        self._daemons.wait("mariadbd", lambda: listens(settings["database_port"]))
        self._daemons.start("slurmdbd", self._paths["slurmdbd"], "-D")
        self._daemons.wait("slurmdbd", lambda: listens(settings["dbd_port"]))
        sacctmgr = ("sacctmgr", "--immediate", "add")
        self.call(*sacctmgr, "cluster", settings["cluster"])
        self.call(*sacctmgr, "account", "lab")
        self.call(*sacctmgr, "user", settings["user"], "account=lab", "defaultaccount=lab")

    def _start_node(self, node: str) -> None:
        if not self._daemons.alive(node):
            self._daemons.start(node, self._paths["slurmd"], "-D", "-N", node, **{NODE: node})

    def _wait_for_nodes(self, *nodes: str, resume: bool = False) -> None:
        """Wait until nodes, all if none is named, are idle or have jobs; `resume` those drained or called down."""

        def usable() -> bool:
            listing = self.call("sinfo", "--Node", "--noheader", "--format=%N %T")
            states = dict(line.split() for line in listing.splitlines())
            waiting = {node for node in nodes or self.nodes if states[node] not in ("idle", "mixed", "allocated")}
            for node in waiting if resume else ():
                # its state may have changed since; then Slurm refuses, and the next round sees it
                self._try("scontrol", "update", f"NodeName={node}", "State=RESUME")
            return not waiting

        wait_until(usable, 30, f"nodes {', '.join(nodes or self.nodes)} to be idle (see {self.folder}/log)")

    def _end_jobs(self, seconds: float = 8) -> None:
        """Cancel all jobs, and wait for `seconds` at most until they are gone."""
        self._try("scancel", f"--user={os.geteuid()}")
        deadline = time.monotonic() + seconds
        while self._try("squeue", "--noheader").stdout.strip() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _try(self, *command: str) -> subprocess.CompletedProcess[str]:
        others = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SQUEUE"))
        }
        return subprocess.run(command, env=others | self.environment, capture_output=True, text=True)


def _name(number: int) -> str:
    try:
        return Path(f"/proc/{number}/comm").read_text().strip()
    except OSError:  # it has just ended
        return ""
