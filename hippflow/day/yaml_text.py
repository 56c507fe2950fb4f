"""YAML that a person wrote, read so that what is wrong with it is one kind of error, and what is huge is refused.

PyYAML's own loader ends in a ValueError at a date such as 2010-13-45, in other errors at other tags, in a
RecursionError at deep brackets, and in no end at anchors that repeat each other ten times over.
"""

from typing import Any

import yaml

#: Most values that a file may have with all its anchors put in their places, and most levels of them.
MAX_VALUES, MAX_LEVELS = 100_000, 64


def parse_yaml(text: str) -> Any:
    """Return what YAML says.

    Raises
    ------
    yaml.YAMLError
        It is no YAML, has a value that is none of its kind, or more than :data:`MAX_VALUES` values.

    Examples
    --------
    >>> parse_yaml("rpllfp: {band: [1, 150]}")
    {'rpllfp': {'band': [1, 150]}}
    >>> parse_yaml("days: 2018-13-45")
    Traceback (most recent call last):
        ...
    yaml.error.YAMLError: month must be in 1..12
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {}, 0)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # of PyYAML's constructors
        raise yaml.YAMLError(str(error)) from error
    except RecursionError as error:
        raise yaml.YAMLError("brackets in brackets, too deep to be meant") from error


def _count(node: yaml.Node, counts: dict[int, int], level: int) -> int:
    """Return how many values a node is, those behind an anchor as often as it is used."""
    if id(node) in counts and counts[id(node)] < 0:
        raise yaml.YAMLError("an anchor that is within itself")
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int" and len(node.value) > 1000:
        raise yaml.YAMLError(f"a number of {len(node.value)} digits")
    if level > MAX_LEVELS:
        raise yaml.YAMLError(f"more than {MAX_LEVELS} levels")
    if id(node) not in counts:
        counts[id(node)] = -1
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        is_scalar = isinstance(node, yaml.ScalarNode)
        counts[id(node)] = 1 + (0 if is_scalar else sum(_count(part, counts, level + 1) for part in parts))
    if counts[id(node)] > MAX_VALUES:
        raise yaml.YAMLError(f"more than {MAX_VALUES} values")
    return counts[id(node)]
