"""Which file of a folder is a product: the only one of its kind, or the one that a configuration names."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hippflow.errors import FormatError
from hippflow.io.tables import read_table
from hippflow.names import (
    eyelink_args,
    highpass_args,
    lfp_args,
    product_name,
    spectrum_args,
    umaze_args,
)

#: How the products are found whose names depend on settings.
PATTERNS = {
    "rpllfp": "rpllfp_????.hkl",
    "rplhighpass": "rplhighpass_????.hkl",
    "umaze": "umaze_????.hkl",
    "eyelink": "eyelink_????.hkl",
    "vmplacecell": "vmplacecell_????.hkl",
    "freqspectrum lfp": "freqspectrum_????.hkl",
    "freqspectrum highpass": "freqspectrum_????.hkl",
}


@dataclass(frozen=True)
class Files:
    """Finds products in folders.

    Parameters
    ----------
    names : dict of str to str
        File names by product, for those that a configuration names; others must be the only ones in their folders.
    """

    names: dict[str, str] = field(default_factory=dict)

    def candidates(self, folder: Path, product: str) -> list[Path]:
        """Return the files of a folder that can be a product: none, one, or several of different settings."""
        if product in self.names or product not in PATTERNS:
            path = folder / self.names.get(product, product)
            return [path] if path.exists() else []
        return sorted(folder.glob(PATTERNS[product]))

    def find(self, folder: Path, product: str) -> Path:
        """Return the file of a product in a folder.

        Parameters
        ----------
        folder : Path
        product : str
            A key of :data:`PATTERNS`, or a file name.

        Raises
        ------
        FormatError
            There is none, or there are several, made with different settings, and no configuration says which.
        """
        found = self.candidates(folder, product)
        if len(found) > 1:
            raise FormatError(
                f"{folder}: expected one {product}, found {', '.join(path.name for path in found)}, made with "
                "different settings; say which with load_day(folder, config='config.yaml')"
            )
        if not found:
            name = self.names.get(product, PATTERNS.get(product, product))
            others = (
                [path.name for path in sorted(folder.glob(PATTERNS.get(product, "")))] if product in PATTERNS else []
            )
            there = f"{', '.join(others)}, made with other settings" if others else "no such file"
            remedy = "give the configuration that it was made with" if others else "hippflow status says why"
            raise FormatError(f"{folder}: expected {name}, found {there}; {remedy}")
        return found[0]

    def has(self, folder: Path, product: str) -> bool:
        """Return whether a product is there, be it one or several."""
        return bool(self.candidates(folder, product))

    def table(self, folder: Path, name: str, columns: dict[str, str] | None = None, **options: Any) -> pd.DataFrame:
        """Return a table, with `options` for pandas; with `columns` checked by :func:`hippflow.io.tables.read_table`.

        Raises
        ------
        FormatError
            It is not there, no table, or lacks columns.
        """
        path = self.find(folder, name)
        if columns:
            return read_table(path, columns, **options)
        try:
            return pd.read_csv(path, **options)
        except (ValueError, OverflowError) as error:  # what pandas raises is a ValueError
            raise FormatError(f"{path}: expected a table, cannot read it ({error}); make it anew") from error

    def report(self, folder: Path, name: str) -> dict[str, Any]:
        """Return what a .json file says.

        Raises
        ------
        FormatError
            It is not there, or no JSON.
        """
        path = self.find(folder, name)
        try:
            fields = json.loads(path.read_text())
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path}: expected JSON, cannot read it ({error}); make it anew") from error
        if not isinstance(fields, dict):
            raise FormatError(f"{path}: expected fields by name, found {type(fields).__name__}; make it anew")
        return fields


def names_of(config: dict[str, Any]) -> dict[str, str]:
    """Return the file names of the products that a configuration makes; blocks that it lacks name nothing.

    Parameters
    ----------
    config : dict
        Whole blocks, as a complete configuration has them.

    Examples
    --------
    >>> names_of({"umaze": {"grid_steps": 40, "overall_grid_size": 25, "min_obs": 5}})
    {'umaze': 'umaze_fd09.hkl'}
    """

    def spectrum(signal: str) -> str:
        return product_name("freqspectrum", spectrum_args(signal, config["freqspectrum"]))

    makers = {
        "rpllfp": (["rpllfp"], lambda: product_name("rpllfp", lfp_args(config["rpllfp"]))),
        "rplhighpass": (["rplhighpass"], lambda: product_name("rplhighpass", highpass_args(config["rplhighpass"]))),
        "umaze": (["umaze"], lambda: product_name("umaze", umaze_args(**config["umaze"]))),
        "eyelink": (["screen"], lambda: product_name("eyelink", eyelink_args(config["screen"]))),
        "vmplacecell": (["placefield", "umaze"], lambda: _map_name(config["placefield"], config["umaze"])),
        "freqspectrum lfp": (["freqspectrum"], lambda: spectrum("lfp")),
        "freqspectrum highpass": (["freqspectrum"], lambda: spectrum("highpass")),
    }
    return {product: name() for product, (blocks, name) in makers.items() if config.keys() >= set(blocks)}


def _map_name(placefield: dict[str, Any], umaze: dict[str, Any]) -> str:
    from hippflow.steps.placefield import map_args  # which imports the science; most days are read without

    return product_name("vmplacecell", map_args(placefield["n_shuffles"], placefield["shuffle_bounds"], **umaze))
