"""The clock of this machine, against those of others: of the disk's server, and of the bucket's endpoint."""

import os
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from hippflow.doctor.buckets import ask_bucket, bucket_urls
from hippflow.doctor.disk import nearest_folder
from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Unchecked, Workplace

#: Seconds by which clocks may differ. S3 refuses signatures from 15 minutes on, and on a disk that others share
#: a file must not look older than what it was made from.
TOLERANCE = 60.0

_FIX = "set the clock: timedatectl set-ntp true (as administrator), or chronyc makestep"


def check_clock(workplace: Workplace) -> Iterator[Finding]:
    """Compare the time with that of a new file below the results, and with the date of the bucket's answer."""
    folder = nearest_folder(workplace.settings["results"])
    try:
        with tempfile.NamedTemporaryFile(prefix=".hippflow-doctor-", dir=folder) as file:
            file.write(b"hippflow")
            file.flush()
            os.fsync(file.fileno())  # a server's time comes with its answer
            yield _judge(os.fstat(file.fileno()).st_mtime - time.time(), f"the disk of {workplace.settings['results']}")
    except OSError as error:
        raise Unchecked(f"no file can be written to {folder} ({error.strerror})") from error
    for url in bucket_urls(workplace.settings):
        answer = ask_bucket(workplace, url)
        if answer.date:
            yield _judge(parsedate_to_datetime(answer.date).timestamp() - answer.at, f"the endpoint of {url}")
        elif not answer.error:
            yield Finding(WARNING, f"the endpoint of {url} does not tell the time", "compare with: date -u")


def _judge(seconds: float, whose: str) -> Finding:
    """Judge the difference of another clock from this machine's."""
    if abs(seconds) <= TOLERANCE:
        return Finding(OK, f"within {TOLERANCE:g} s of that of {whose}")
    side = "behind" if seconds > 0 else "ahead of"
    return Finding(
        FAILURE, f"expected at most {TOLERANCE:g} s of difference, found {abs(seconds):.0f} s {side} {whose}", _FIX
    )
