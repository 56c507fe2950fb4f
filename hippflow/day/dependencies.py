"""What every product is made from, files and settings, as the rules have it.

For questions about a whole results tree that a DAG of a hundred thousand jobs would answer too
slowly. A test holds this to what Snakemake records of the jobs that it ran.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hippflow.day.config import suite2p_settings
from hippflow.day.imaging import Recording
from hippflow.day.products import UNITY, Product, Products
from hippflow.imaging.settings import registration_settings
from hippflow.names import spectrum_args
from hippflow.nwb.sources import nwb_settings, nwb_sources


@dataclass(frozen=True)
class Dependencies:
    """Inputs and settings of products.

    Parameters
    ----------
    products : Products
    """

    products: Products

    @property
    def _config(self) -> dict[str, Any]:
        return self.products.config

    @cached_property
    def _recordings(self) -> dict[str, Recording]:
        return {recording.path: recording for recording in self.products.catalog.recordings}

    def inputs(self, product: Product) -> list[str]:
        """Return the files that a product is made from."""
        return getattr(self, f"_{product.kind}_inputs")(product)

    def settings(self, product: Product) -> list[Any]:
        """Return the values of the settings that a product is made with."""
        config, dtype = self._config, self._config["products"]["dtype"]
        if product.kind in ("rplsplit", "rpllfp", "rplhighpass"):
            return [*config[product.kind].values(), dtype]
        if product.kind in ("sorting", "units", "aligned", "umaze", "kmeans", "projections"):
            return list(config[product.kind].values())
        if product.kind == "signal_quality":
            return list(config["quality"].values())
        return getattr(self, f"_{product.kind}_settings")(product)

    # Ripple

    def _session(self, product: Product) -> Any:
        return self.products.catalog.by_path[product.owner]

    def _of(self, product: Product, name: str) -> str:
        """Return another product of the same session, channel or plane."""
        return f"{product.path.rpartition('/')[0]}/{name}"

    def _rplparallel_inputs(self, product: Product) -> list[str]:
        return [self._session(product).nev]

    def _rplparallel_settings(self, product: Product) -> list[Any]:
        return [*self._config["rplparallel"].values(), self._session(product).started]

    def _rplsplit_inputs(self, product: Product) -> list[str]:
        session = self._session(product)
        return [session.nsx, *([session.clock] if session.clock else [])]

    def _rpllfp_inputs(self, product: Product) -> list[str]:
        return [self._of(product, self.products.rplraw)]

    _rplhighpass_inputs = _rpllfp_inputs

    def _spectrum_signal(self, product: Product) -> str:
        return self.products.spectra[product.path.removesuffix(".hkl").rpartition("_")[2]]

    def _freqspectrum_inputs(self, product: Product) -> list[str]:
        signals = {"lfp": self.products.rpllfp, "highpass": self.products.rplhighpass}
        return [self._of(product, signals[self._spectrum_signal(product)])]

    def _freqspectrum_settings(self, product: Product) -> list[Any]:
        return [spectrum_args(self._spectrum_signal(product), self._config["freqspectrum"])]

    # Quality

    def _signal_quality_inputs(self, product: Product) -> list[str]:
        of = self.products
        names = of.rplraw, of.rpllfp, of.rplhighpass, of.spectrum("lfp"), of.spectrum("highpass")
        return [self._of(product, name) for name in names]

    def _channels_inputs(self, product: Product) -> list[str]:
        return [path for paths in self.products.channel_reports(product.owner).values() for path in paths]

    def _channels_settings(self, product: Product) -> list[Any]:
        return []

    # Sorting

    def _sorting_inputs(self, product: Product) -> list[str]:
        return [
            self.products.path(session.path, session.channels[product.channel], self.products.rplhighpass)
            for session in self.products.catalog.days[product.owner]
            if product.channel in session.channels
        ]

    def _units_inputs(self, product: Product) -> list[str]:
        curation = self.products.curation(product.owner, product.channel)
        curated = [curation] if Path(curation).exists() else []
        return [self._of(product, "firings.hkl"), *curated, *self._sorting_inputs(product)]

    def _spiketrain_inputs(self, product: Product) -> list[str]:
        folder = self.products.path(self._session(product).day, f"mountains/channel{product.channel:03d}")
        return [f"{folder}/firings.hkl", f"{folder}/units.csv", self._of(product, self.products.rplhighpass)]

    def _spiketrain_settings(self, product: Product) -> list[Any]:
        return [self._config["spiketrain"]["cells"]]

    # Behaviour

    def _markers(self, session: str) -> str:
        return self.products.path(session, self.products.rplparallel)

    def _unity_inputs(self, product: Product) -> list[str]:
        return [*self._session(product).maze_logs, self._markers(product.owner)]

    def _unity_settings(self, product: Product) -> list[Any]:
        return [self._config["unity"]["reversal_frames"]]

    def _eye_sessions(self, product: Product) -> list[Any]:
        day = "/".join(product.owner.split("/")[:2])
        return [session for session in self.products.catalog.days[day] if session.eye and session.nev]

    def _edfsplit_inputs(self, product: Product) -> list[str]:
        sessions = self._eye_sessions(product)
        return [*dict.fromkeys(s.eye for s in sessions), *(self._markers(s.path) for s in sessions)]

    def _edfsplit_settings(self, product: Product) -> list[Any]:
        names = tuple(session.name for session in self._eye_sessions(product))
        return [names, self._config["edfsplit"]["eye"], self._config["screen"]]

    def _aligned_inputs(self, product: Product) -> list[str]:
        found = self.products.devices(self._session(product)).values()
        unaligned = [self.products.path(product.owner, "unaligned", name) for name in found]
        return [*unaligned, self._markers(product.owner)]

    def _raycast_inputs(self, product: Product) -> list[str]:
        behaviour = [self._of(product, name) for name in (UNITY, self.products.eyelink)]
        return [*behaviour, self._markers(product.owner), self._config["raycast"]["scene"]]

    def _raycast_settings(self, product: Product) -> list[Any]:
        block = self._config["raycast"]
        return [self._config["screen"], *(value for name, value in block.items() if name != "scene")]

    def _umaze_inputs(self, product: Product) -> list[str]:
        return [self._of(product, UNITY)]

    def _placefield_inputs(self, product: Product) -> list[str]:
        return [self._of(product, "cells.csv"), self.products.path(product.owner, self.products.umaze)]

    def _placefield_settings(self, product: Product) -> list[Any]:
        return [*self._config["placefield"].values(), *self._config["umaze"].values()]

    # Imaging

    def _movie_inputs(self, product: Product) -> list[str]:
        return list(self._recordings[product.owner].files)

    def _movie_settings(self, product: Product) -> list[Any]:
        return [self._config["movie"][name] for name in ("planes", "channels", "functional_channel")]

    def _plane(self, product: Product, names: list[str]) -> list[str]:
        """Return files by patterns, of the plane in whose folder the product lies."""
        plane = Path(product.path).parent.name
        return [self.products.path(product.owner, name.format(plane=plane)) for name in names]

    def _cells(self, product: Product, names: list[str]) -> list[str]:
        return self._plane(product, [f"suite2p/{{plane}}/{name}.npy" for name in names])

    def _registration_inputs(self, product: Product) -> list[str]:
        return self._plane(product, ["movie/{plane}.bin", "movie/movie.json"])

    def _registration_settings(self, product: Product) -> list[Any]:
        return [registration_settings(suite2p_settings(self._config))]

    def _suite2p_inputs(self, product: Product) -> list[str]:
        return self._plane(product, ["suite2p/{plane}/data.bin", "suite2p/{plane}/reg_outputs.npy", "movie/movie.json"])

    def _suite2p_settings(self, product: Product) -> list[Any]:
        return [suite2p_settings(self._config), self._config["suite2p"]["memory"]]

    def _kmeans_inputs(self, product: Product) -> list[str]:
        return self._cells(product, ["F", "Fneu", "spks", "stat", "iscell", "settings"])

    def _figure5_inputs(self, product: Product) -> list[str]:
        cells = self._cells(product, ["reg_outputs", "F", "Fneu", "spks", "stat", "settings"])
        clusters = ["movie/{plane}.npz", "kmeans/{plane}/clusters.csv", "kmeans/{plane}/covariance.npy"]
        return cells + self._plane(product, clusters)

    def _figure5_settings(self, product: Product) -> list[Any]:
        return [self._config["suite2p"]["fs"], self._config["kmeans"]["traces"]]

    def _projections_inputs(self, product: Product) -> list[str]:
        planes = range(self._recordings[product.owner].planes)
        return [self.products.path(product.owner, "movie", f"plane{k}.npz") for k in planes]

    # The whole day

    def _report_inputs(self, product: Product) -> list[str]:
        return self.products.report_inputs(product.owner)

    def _report_settings(self, product: Product) -> list[Any]:
        return [self.products.recorded(product.owner), self.products.report_settings(product.owner)]

    def _nwb_inputs(self, product: Product) -> list[str]:
        return [path for paths in nwb_sources(self.products, product.owner).values() for path in paths]

    def _nwb_settings(self, product: Product) -> list[Any]:
        return [nwb_settings(self._config["nwb"], product.owner)]
