"""Which file of a folder is a product: the only one of its kind, or the one that a configuration names."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hippflow.errors import FormatError
from hippflow.names import (
    eyelink_args,
    highpass_args,
    lfp_args,
    product_name,
    umaze_args,
)

#: How the products are found whose names depend on settings.
PATTERNS = {
    "rpllfp": "rpllfp_????.hkl",
    "rplhighpass": "rplhighpass_????.hkl",
    "umaze": "umaze_????.hkl",
    "eyelink": "eyelink_????.hkl",
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
        if product not in PATTERNS:
            found = [folder / product]
        elif product in self.names:
            found = [folder / self.names[product]]
        else:
            found = sorted(folder.glob(PATTERNS[product]))
        if len(found) > 1:
            raise FormatError(
                f"{folder}: expected one {product}, found {', '.join(path.name for path in found)}, made with "
                "different settings; say which with load_day(folder, config='config.yaml')"
            )
        if not found or not found[0].exists():
            name = found[0].name if found else PATTERNS[product]
            raise FormatError(f"{folder}: expected {name}, found no such file; hippflow status says why")
        return found[0]

    def has(self, folder: Path, product: str) -> bool:
        """Return whether a product is there, be it one or several."""
        if product in PATTERNS and product not in self.names:
            return next(folder.glob(PATTERNS[product]), None) is not None
        return (folder / self.names.get(product, product)).exists()

    def table(self, folder: Path, name: str) -> pd.DataFrame:
        """Return a table with named columns."""
        return pd.read_csv(self.find(folder, name))


def names_of(config: dict[str, Any]) -> dict[str, str]:
    """Return the file names of the products that a complete configuration makes.

    Examples
    --------
    >>> names_of({"umaze": {"grid_steps": 40, "overall_grid_size": 25, "min_obs": 5}})
    {'umaze': 'umaze_fd09.hkl'}
    """
    makers = {
        "rpllfp": lambda: product_name("rpllfp", lfp_args(config["rpllfp"])),
        "rplhighpass": lambda: product_name("rplhighpass", highpass_args(config["rplhighpass"])),
        "umaze": lambda: product_name("umaze", umaze_args(**config["umaze"])),
        "screen": lambda: product_name("eyelink", eyelink_args(config["screen"])),
    }
    return {"eyelink" if block == "screen" else block: make() for block, make in makers.items() if block in config}
