"""Downloads from an S3 endpoint of this host beside boto3's transfer manager.

    python benchmarks/s3_transfer.py            64 objects of 4 MB and one of 2 GB, five times each
    python benchmarks/s3_transfer.py --small    an eighth of it

Starts Ceph's gateway (see tests/cluster/local_ceph.py), puts the objects, and downloads
them with as many connections by ``hippflow.cloud.download`` and by ``download_file`` of
boto3, in turns, every time in a new process. The time is that of the download alone,
without the start of Python, the listing and the making of a client, but with what hippflow does and boto3 does
not: comparing the content with the ETag, and fsync. Server and client share the
machine's processors, so the rates are below what a network of machines gives.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import numpy as np
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
BUCKET = "benchmark"
TOOLS = ("hippflow", "boto3")


def download(tool: str, url: str, folder: Path, connections: int) -> dict[str, float]:
    """Download what is below `url`; bytes, wall seconds and CPU seconds of this process."""
    from hippflow.cloud.download import download_objects
    from hippflow.cloud.s3 import list_objects, s3_client, split_url

    logging.basicConfig(level=logging.WARNING)
    found = list_objects(url)
    bucket, prefix = split_url(url)
    settings = TransferConfig(max_concurrency=connections)
    if tool == "hippflow":
        client = s3_client(connections)
    else:
        client = boto3.client("s3", config=Config(max_pool_connections=connections))
    start = time.perf_counter()
    cpu = time.process_time()
    if tool == "hippflow":
        download_objects([(obj, folder / key) for key, obj in found.items()], connections=connections, client=client)
    else:
        with ThreadPoolExecutor(connections) as pool:
            transfers = [
                pool.submit(client.download_file, bucket, f"{prefix}/{key}", str(folder / key), Config=settings)
                for key in found
            ]
            for transfer in transfers:
                transfer.result()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    n_bytes = sum(obj.size for obj in found.values())
    if sum(path.stat().st_size for path in folder.iterdir()) != n_bytes:
        raise RuntimeError(f"{tool}: expected {n_bytes} bytes in {folder}, found another number")
    return {"bytes": n_bytes, "seconds": seconds, "cpu": cpu}


def put_objects(client: object, n_small: int, big: int) -> None:
    """Put `n_small` objects of 4 MB, and one of `big` bytes in parts of boto3's size."""
    client.create_bucket(Bucket=BUCKET)
    random = np.random.default_rng(1)
    for number in range(n_small):
        client.put_object(Bucket=BUCKET, Key=f"small/{number:02d}", Body=random.bytes(4_000_000))
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(0, big, 1 << 24):
            file.write(random.bytes(1 << 24))
        file.truncate(big)
        client.upload_file(file.name, BUCKET, "big/recording")


def compare(prefix: str, repeats: int, connections: int) -> dict[str, list[dict[str, float]]]:
    """Download a prefix with both tools in turns."""
    results: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
    for repeat in range(repeats):
        for tool in TOOLS if repeat % 2 else reversed(TOOLS):
            with tempfile.TemporaryDirectory() as folder:
                os.sync()  # none pays for what the other left to be written
                command = [sys.executable, __file__, "--download", tool, f"s3://{BUCKET}/{prefix}", folder]
                command += ["--connections", str(connections)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results[tool].append(json.loads(done.stdout))
    return results


def main() -> None:
    """Run the comparison, or one download of it."""
    parser = argparse.ArgumentParser(description="Downloads by hippflow and by boto3 from a local S3 endpoint.")
    parser.add_argument("--small", action="store_true", help="an eighth of the objects and bytes")
    parser.add_argument("--repeats", type=int, default=5, help="downloads of each kind (default 5)")
    parser.add_argument("--connections", type=int, default=10, help="requests at once (default 10)")
    parser.add_argument("--download", nargs=3, metavar=("TOOL", "URL", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.download:
        tool, url, folder = arguments.download
        print(json.dumps(download(tool, url, Path(folder), arguments.connections)))
        return

    sys.path.insert(0, str(ROOT / "tests" / "cluster"))
    from local_ceph import LocalCeph

    n_small, big = (8, 250_000_000) if arguments.small else (64, 2_000_000_000)
    with tempfile.TemporaryDirectory(prefix="rgw") as folder, LocalCeph(folder) as ceph:
        os.environ.update(ceph.environment)
        put_objects(boto3.client("s3"), n_small, big)
        print(f"{arguments.connections} connections, medians of {arguments.repeats}, load {os.getloadavg()[0]:.1f}")
        print(f"{'objects':>20} {'tool':>9} {'s':>7} {'MB/s':>6} {'CPU s':>6} {'fastest s':>10}")
        for prefix, what in (("small", f"{n_small} x 4 MB"), ("big", f"1 x {big / 1e6:.0f} MB")):
            results = compare(prefix, arguments.repeats, arguments.connections)
            medians = {tool: statistics.median(run["seconds"] for run in results[tool]) for tool in TOOLS}
            for tool in TOOLS:
                cpu = statistics.median(run["cpu"] for run in results[tool])
                rate = results[tool][0]["bytes"] / 1e6 / medians[tool]
                fastest = min(run["seconds"] for run in results[tool])
                print(f"{what:>20} {tool:>9} {medians[tool]:7.2f} {rate:6.0f} {cpu:6.2f} {fastest:10.2f}")
            ratio = medians["boto3"] / medians["hippflow"]
            pairs = zip(results["boto3"], results["hippflow"], strict=True)
            paired = statistics.median(boto["seconds"] / ours["seconds"] for boto, ours in pairs)
            print(f"{what:>20} throughput of hippflow / boto3: {ratio:.2f} (median of pairs {paired:.2f})")


if __name__ == "__main__":
    main()
