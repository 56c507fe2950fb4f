"""What a check finds, and checks that cannot disturb each other."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippflow.errors import HippflowError

if TYPE_CHECKING:
    from hippflow.day.products import Products
    from hippflow.day.raw import RawTree

OK, WARNING, FAILURE = "ok", "warning", "failure"

#: What to do where a check itself breaks.
_DEFECT = "this is a defect of hippflow: report it with the output of hippflow --debug doctor"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    state : {'ok', 'warning', 'failure'}
        A run may be slower or less safe after a warning; after a failure it does not work, or not whole.
    message : str
        What is so.
    fix : str or None
        What to do about it; None where nothing is to be done.
    check : str
        Its subject.
    """

    state: str
    message: str
    fix: str | None = None
    check: str = ""


class Unchecked(Exception):
    """A check that has to wait for another subject to be right."""


@dataclass
class Workplace:
    """What is looked at.

    Attributes
    ----------
    folder : Path
        The workflow's.
    config : dict or None
        The complete configuration, None where it is wrong.
    trouble : HippflowError or None
        What is wrong with it then.
    answers : dict
        What was asked once for several checks.
    """

    folder: Path
    config: dict[str, Any] | None = None
    trouble: HippflowError | None = None
    answers: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, for checks that need it.

        Raises
        ------
        Unchecked
            It is wrong.
        """
        if self.config is None:
            raise Unchecked("config.yaml is not valid")
        return self.config

    @cached_property
    def tree(self) -> "RawTree":
        """The raw tree."""
        from hippflow.day.raw import raw_tree

        return raw_tree(self.settings)

    @cached_property
    def _listed(self) -> "Products | HippflowError":
        """Everything that the configuration asks for, or why that cannot be said: a bucket is asked once."""
        from hippflow.day.catalog import build_catalog
        from hippflow.day.products import Products

        try:
            return Products(self.settings, build_catalog(self.settings, self.tree, look=False))
        except HippflowError as error:
            return error

    def list_products(self) -> "Products":
        """Return everything that the configuration asks for.

        Raises
        ------
        HippflowError
            The raw data cannot be listed.
        """
        if isinstance(self._listed, HippflowError):
            raise self._listed
        return self._listed

    @property
    def products(self) -> "Products":
        """As `list_products`, for checks of something else.

        Raises
        ------
        Unchecked
            The raw data cannot be listed; their own check says why.
        """
        if isinstance(self._listed, HippflowError):
            raise Unchecked("the raw data could not be listed")
        return self._listed

    @property
    def in_bucket(self) -> bool:
        """Whether the raw data lie in a bucket."""
        return self.settings["data"].startswith("s3://")


#: A check: says what it finds about a workplace.
Check = Callable[[Workplace], Iterator[Finding]]


def as_failure(error: HippflowError) -> Finding:
    """Return an error of hippflow's as a finding: what is wrong, and what its message says to do.

    Examples
    --------
    >>> as_failure(HippflowError("data: expected a folder, found none; set data in config.yaml to it")).fix
    'set data in config.yaml to it'
    """
    message, _, fix = str(error).rpartition("; ")
    return Finding(FAILURE, message or fix, fix if message else "correct that")


def examine(checks: dict[str, Check], workplace: Workplace) -> list[Finding]:
    """Do all checks, whatever happens in any of them.

    Parameters
    ----------
    checks : dict of str to callable
        By subject, in order.
    workplace : Workplace

    Returns
    -------
    list of Finding
        In the order of the checks. An error that a check did not expect is a failure of that check.
    """
    return list(itertools.chain.from_iterable(_examine(name, check, workplace) for name, check in checks.items()))


def _examine(name: str, check: Check, workplace: Workplace) -> Iterator[Finding]:
    try:
        for finding in check(workplace):
            yield Finding(finding.state, " ".join(finding.message.split()), finding.fix, name)
    except Unchecked as reason:
        yield Finding(WARNING, f"not checked: {reason}", "correct that first", name)
    except HippflowError as error:
        finding = as_failure(error)
        yield Finding(FAILURE, " ".join(finding.message.split()), finding.fix, name)
    except Exception as error:  # noqa: BLE001 - the other checks go on, whatever it is
        yield Finding(FAILURE, f"the check itself failed: {type(error).__name__}: {error}", _DEFECT, name)
