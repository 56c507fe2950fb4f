"""How many bytes the products will take that are still to be made, from the length of the recordings.

Signals are counted exactly but for their headers; the rest is small, and taken from the demo day. Movies whose
files are compressed take more than is said here.
"""

import os
from pathlib import Path

from hippflow.day.products import Product, Products

#: Bytes of a stored sample.
_WIDTH = {"float32": 4, "int16": 2}

#: Bytes of a small product: so many, and so many more for every second of its session or day.
_SMALL: dict[str, tuple[int, int]] = {
    "rplparallel": (20_000, 100),
    "freqspectrum": (100_000, 0),
    "signal_quality": (2_500, 0),
    "channels": (50_000, 0),
    "report": (5_000_000, 0),
    "sorting": (30_000, 500),
    "units": (5_000, 0),
    "spiketrain": (50_000, 1_000),
    "placefield": (200_000, 0),
    "unity": (20_000, 4_000),
    "edfsplit": (20_000, 20_000),
    "aligned": (30_000, 10_000),
    "umaze": (400_000, 0),
    "raycast": (300_000, 40_000),
    "kmeans": (30_000, 0),
    "figure5": (1_000_000, 0),
    "projections": (2_000_000, 0),
}

#: Header and fields of a signal's file, whose samples begin after 64 kB.
_HEADER = 66_000

#: Bytes a pixel of a frame for images of a plane: of its movie as a whole, and of cell detection.
_IMAGE = {"movie": 320, "registration": 20, "suite2p": 10}

#: Share of a plane's movie that each of the cells' signals takes.
_TRACES = 0.01

#: Bytes of an NWB file that are there in any case, and of a second of behaviour in it.
_SMALL_FILE, _BEHAVIOUR = 500_000, 30_000


class Sizes:
    """Sizes of products before they are made.

    Parameters
    ----------
    products : Products
    """

    def __init__(self, products: Products):
        self._products = products
        self._recordings = {recording.path: recording for recording in products.catalog.recordings}

    def _seconds(self, owner: str) -> float:
        catalog = self._products.catalog
        sessions = [catalog.by_path[owner]] if owner in catalog.by_path else catalog.days[owner]
        return sum(session.seconds for session in sessions)

    def of(self, product: Product) -> int:
        """Return the bytes that a product will have, about."""
        config = self._products.config
        width = _WIDTH[config["products"]["dtype"]]
        if product.kind in ("rplsplit", "rplhighpass", "rpllfp"):
            session = self._products.catalog.by_path[product.owner]
            rate = config["rpllfp"]["resample_rate"] if product.kind == "rpllfp" else session.sampling_rate
            return _HEADER + round(session.seconds * rate * width)
        if product.kind in _IMAGE:
            return self._of_plane(product)
        if product.kind == "nwb":
            return self._of_nwb(product)
        fixed, rate = _SMALL[product.kind]
        if not rate:
            return fixed
        return fixed + round(rate * self._seconds(product.owner))

    def _of_nwb(self, product: Product) -> int:
        """Return the bytes of a day's NWB file: signals hardly get smaller by compression, behaviour does."""
        config, catalog = self._products.config, self._products.catalog
        width, wanted = _WIDTH[config["products"]["dtype"]], config["nwb"]["modalities"]
        n_bytes = _SMALL_FILE
        for session in catalog.days[product.owner]:
            rate = config["rpllfp"]["resample_rate"] if "ephys" in wanted else 0.0
            rate += session.sampling_rate if "raw" in wanted else 0.0
            n_bytes += round(session.seconds * rate * width * len(session.channels))
            n_bytes += round(session.seconds * _BEHAVIOUR) if "behaviour" in wanted else 0
        movies = [r for r in catalog.recordings if r.day == product.owner and "imaging" in wanted]
        return n_bytes + sum(round(3 * _TRACES * movie.n_bytes / movie.channels) for movie in movies)

    def _of_plane(self, product: Product) -> int:
        """Return the bytes of a movie's frames (2 a pixel), of its images, or of its cells."""
        recording = self._recordings[product.owner]
        frames = recording.n_bytes / recording.planes / recording.channels
        if product.path.endswith(".bin"):
            return round(frames)
        if product.path.endswith(".json"):
            return 1000
        images = _IMAGE[product.kind] * recording.height * recording.width
        return round(images + (_TRACES * frames if product.kind == "suite2p" else 0))


def bytes_to_come(products: Products) -> tuple[int, int]:
    """Add up the products that are not there.

    Returns
    -------
    n_bytes, n_files : int
    """
    sizes = Sizes(products)
    missing = [p for day in products.catalog.days for p in products.of_day(day) if not os.path.exists(p.path)]
    return sum(map(sizes.of, missing)), len(missing)


def bytes_to_stage(products: Products) -> int:
    """Add up the recordings that are still to be fetched from a bucket."""
    catalog = products.catalog
    sessions = sum(s.n_bytes for s in catalog.sessions if s.nsx and not Path(s.nsx).exists())
    movies = sum(r.n_bytes for r in catalog.recordings if not Path(r.files[0]).exists())
    return sessions + movies
