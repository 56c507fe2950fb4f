"""A real S3 on this host: Ceph's RADOS gateway over one monitor and one OSD that keeps its objects in memory.

    python tests/cluster/local_ceph.py start DIR     leaves it running and prints the variables to export
    python tests/cluster/local_ceph.py stop DIR

It checks signatures, makes multipart uploads and ranged reads at the speed of a disk, which a simulated S3 does not.
Everything of it but the objects lies in one folder, and it listens on 127.0.0.1 alone, on ports of its own. Its daemons
do not check each other's keys. A gateway whose memory is full lets writes wait for ever, as Ceph does.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from debian import Daemons, end_processes, free_ports, listens, processes_with, require

COMMANDS = {
    "ceph-mon": "ceph-mon",
    "monmaptool": "ceph-common",
    "ceph": "ceph-common",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
}

#: Environment variable of the daemons, which says of which endpoint they are.
ENDPOINT = "HIPPFLOW_LOCAL_CEPH"
REGION = "us-east-1"

#: Messages are checked (crc) and not encrypted: without keys the gateway could not connect. One placement group a pool
#: and a monitor that decides at once make it start in a second. Deleted objects leave memory within seconds, not hours.
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon cluster mode = crc
ms mon service mode = crc
ms mon client mode = crc
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/log/$name.log
log to stderr = false
err to stderr = true
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[mon.a]
mon data = {folder}/mon
mon initial members = a
paxos propose interval = 0.05
mon data avail crit = 1
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {memory}
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{s3}
rgw data = {folder}/rgw
rgw thread pool size = 64
rgw gc obj min wait = 2
rgw gc processor period = 2
"""

FOLDERS = ("log", "mon", "osd", "rgw", "run")


class LocalCeph:
    """An S3 endpoint on this host.

    Parameters
    ----------
    folder : path
        Where everything of it goes, but for the objects. One that already runs there is stopped.
    memory : float
        Most GB of objects that it takes; they are in memory.

    Attributes
    ----------
    environment : dict of str to str
        Variables that make boto3 use it: the endpoint, the keys of a user, the region.
    """

    def __init__(self, folder: str | Path, memory: float = 4.0):
        self.folder = Path(folder).resolve()
        self.memory = memory
        self.environment: dict[str, str] = {}
        self._configuration = self.folder / "ceph.conf"
        self._daemons = Daemons(self.folder / "log", {ENDPOINT: str(self.folder)})
        self._paths: dict[str, str] = {}

    def __enter__(self) -> "LocalCeph":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the endpoint and wait until it answers."""
        self._paths = require(COMMANDS)
        if len(str(self.folder)) > 70 or " " in str(self.folder):
            raise ValueError(f"{self.folder}: expected a path of at most 70 characters without spaces, for its sockets")
        self.stop()
        for name in FOLDERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(parents=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        mon_v2, mon_v1, s3 = free_ports(3)
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        self._configuration.write_text(
            CONFIGURATION.format(
                fsid=fsid,
                folder=self.folder,
                mon_v1=mon_v1,
                mon_v2=mon_v2,
                s3=s3,
                memory=round(self.memory * 1e9),
            )
        )
        monmap = str(self.folder / "run" / "monmap")
        address = f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]"
        self._call("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address, monmap)
        self._call("ceph-mon", "--id", "a", "--mkfs", "--monmap", monmap)
        self._daemon("ceph-mon", "--foreground", "--id", "a")
        self._daemons.wait("ceph-mon", lambda: listens(mon_v2))
        self._call("ceph", "--connect-timeout", "30", "osd", "new", osd)
        self._call("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", osd)
        self._daemon("ceph-osd", "--foreground", "--id", "0")
        key, secret = secrets.token_hex(10).upper(), secrets.token_hex(20)
        self._call(
            "radosgw-admin",
            "--name",
            "client.rgw",
            "user",
            "create",
            "--uid=lab",
            "--display-name=lab",
            f"--access-key={key}",
            f"--secret-key={secret}",
        )
        self._daemon("radosgw", "--foreground", "--name", "client.rgw")
        self._daemons.wait("radosgw", lambda: listens(s3))
        self.environment = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def stop(self) -> None:
        """End all daemons, and with them all objects; safe to call at any time."""
        end_processes(lambda: processes_with(**{ENDPOINT: str(self.folder)}))  # nothing is there to be saved
        self._daemons.end()
        self.environment = {}

    def _daemon(self, command: str, *arguments: str) -> None:
        self._daemons.start(command, self._paths[command], "--conf", str(self._configuration), *arguments)

    def _call(self, command: str, *arguments: str) -> str:
        """Run a command of Ceph; its failure is an error with its last words."""
        done = subprocess.run(
            [self._paths[command], "--conf", str(self._configuration), *arguments],
            env=os.environ | {ENDPOINT: str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"{command} {arguments[0]} exited with {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout


def main() -> None:
    """Start or stop an endpoint from a shell."""
    parser = argparse.ArgumentParser(description="A real S3 on this host.")
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", metavar="DIR", help="where everything of it goes, but for the objects")
    parser.add_argument("--memory", type=float, default=4.0, metavar="GB", help="most GB of objects (default 4)")
    arguments = parser.parse_args()
    ceph = LocalCeph(arguments.folder, arguments.memory)
    if arguments.action == "stop":
        ceph.stop()
        return
    try:
        ceph.start()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        sys.exit(str(missing))
    for name, value in ceph.environment.items():
        print(f"export {name}={value}")


if __name__ == "__main__":
    main()
