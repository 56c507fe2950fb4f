"""What lies below a level, by name, with errors that say what there is."""

from difflib import get_close_matches
from typing import Any

from hippflow.errors import FormatError


class Named(dict):
    """A dictionary whose error for a missing key says what there is.

    Parameters
    ----------
    where : str
        What it is of, for the message.
    items : dict

    Examples
    --------
    >>> Named("picasso/20181105", {"session01": 1, "sessioneye": 2})["sesion01"]  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    hippflow.errors.FormatError: picasso/20181105: expected session01 or ..., found 'sesion01'; is session01 meant?
    """

    def __init__(self, where: Any, items: dict[Any, Any]):
        super().__init__(items)
        self._where = where

    def __missing__(self, name: Any) -> Any:
        near = get_close_matches(name, map(str, self), 1) if isinstance(name, str) else []
        remedy = f"is {near[0]} meant?" if near else "hippflow status says what is missing, and why"
        raise FormatError(f"{self._where}: expected {_either(list(self))}, found {name!r}; {remedy}")


def _either(names: list[Any]) -> str:
    """Return names as a choice, of many only the first and the last.

    Examples
    --------
    >>> _either([9, 34, 120]), _either(list(range(100)))
    ('9, 34 or 120', 'one of 100, 0 to 99')
    """
    if len(names) > 12:
        return f"one of {len(names)}, {names[0]} to {names[-1]}"
    return " or ".join([", ".join(map(str, names[:-1])), str(names[-1])]).removeprefix(" or ") if names else "nothing"
