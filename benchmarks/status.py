"""How long hippflow status looks at 45 days of 124 channels, beside what it takes to ask for every file's time.

Makes a tree of recordings that end with their headers, and an empty file for every product, all in a
temporary folder. Prints seconds of wall time, the median of three rounds taken in turns.

    python benchmarks/status.py [--days 45] [--channels 124]
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from hippflow.day.catalog import build_catalog
from hippflow.day.config import check_config, load_schema
from hippflow.day.products import Products
from hippflow.demo.ripple import raw_channel, write_nev, write_nsx
from hippflow.runs.inventory import take_inventory

SCHEMA = Path(__file__).parents[1] / "schemas/config.schema.yaml"


def write_headers(root: Path, n_days: int, n_channels: int) -> None:
    """Write two sessions a day whose recordings have one sample."""
    channels = [raw_channel(number) for number in range(1, n_channels + 1)]
    write_nsx(root / "a.ns5", channels, iter([]))
    write_nev(root / "a.nev", [], channels=channels)
    headers = (root / "a.ns5").read_bytes()[: 314 + 66 * n_channels]
    for k in range(n_days):
        for session in ("session01", "sessioneye"):
            folder = root / "data/picasso" / f"{date(2018, 11, 1) + timedelta(k):%Y%m%d}" / session
            folder.mkdir(parents=True)
            (folder / "a.ns5").write_bytes(headers)
            shutil.copy(root / "a.nev", folder / "a.nev")


def median(times: list[float]) -> str:
    """Return the median as the table has it."""
    return f"{statistics.median(times):8.2f}"


def main() -> None:
    """Make the tree, look at it in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--channels", type=int, default=124)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_headers(root, arguments.days, arguments.channels)
        config = check_config({"data": str(root / "data"), "results": str(root / "results")}, load_schema(SCHEMA))
        catalogs, looks, limits = [], [], []
        for _ in range(3):
            start = time.perf_counter()
            products = Products(config, build_catalog(config))
            catalogs.append(time.perf_counter() - start)
            paths = [product.path for day in products.catalog.days for product in products.of_day(day)]
            for path in paths:
                if not os.path.exists(path):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    Path(path).touch()
            start = time.perf_counter()
            n_there = sum(group.there for groups in take_inventory(products, root) for group in groups)
            looks.append(time.perf_counter() - start)
            start = time.perf_counter()
            for path in paths:
                os.stat(path)
            limits.append(time.perf_counter() - start)
    print(f"{arguments.days} days, {arguments.channels} channels: {len(paths)} products, {n_there} up to date")
    print(f"catalog from headers  {median(catalogs)} s\ninventory             {median(looks)} s")
    print(f"limit: os.stat of all {median(limits)} s")


if __name__ == "__main__":
    main()
