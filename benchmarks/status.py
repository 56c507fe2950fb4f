"""How long hippflow status looks at 45 days of 124 channels, beside what it takes to ask for every file's time.

Makes a tree of recordings that end with their headers, and an empty file for every product, all in a
temporary folder.

    python benchmarks/status.py [--quick]
"""

import os
import shutil
import statistics
import time
from datetime import date, timedelta
from pathlib import Path

from measuring import Row, main

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


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure 45 days of 124 channels; quick: five days."""
    n_days, n_channels = (5, 124) if quick else (45, 124)
    write_headers(folder, n_days, n_channels)
    config = check_config({"data": str(folder / "data"), "results": str(folder / "results")}, load_schema(SCHEMA))
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
        n_there = sum(group.there for groups in take_inventory(products, folder) for group in groups)
        looks.append(time.perf_counter() - start)
        start = time.perf_counter()
        for path in paths:
            os.stat(path)
        limits.append(time.perf_counter() - start)
    work = f"hippflow status, {n_days} days of {n_channels} channels, {len(paths)} products"
    figures = {
        "ours": statistics.median(looks),
        "catalog from headers": statistics.median(catalogs),
        "os.stat of all": statistics.median(limits),
    }
    return [Row(work, "s", figures, note=f"{n_there} up to date")]


if __name__ == "__main__":
    main(__doc__, rows)
