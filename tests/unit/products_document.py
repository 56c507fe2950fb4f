"""docs/products.md as data, and what holds files to it."""

import re
from pathlib import Path

import numpy as np

from hippflow.io.products import read_product

DOCUMENT = Path(__file__).parents[2] / "docs" / "products.md"
COMMON = "Fields of every PyHipp object"

#: Dictionaries whose keys are data.
OPEN = {"array_dict", "header", "objects"}

#: Levels of files by the number of folders that they lie in, from the day on.
LEVELS = {0: "day", 1: "session", 3: "channel", 4: "cell"}

#: What the text of a table's cell may be, by the type in the document.
TEXTS = {"int": r"-?\d+", "float": r"-?\d+(\.\d+)?(e[-+]\d+)?|-?inf|NaN", "bool": "True|False", "str": ".*"}


def sections():
    """Return the text below every heading of the second level."""
    parts = re.split(r"^## (.+)$", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def part(section, heading=None):
    """Return the text below a heading of the third level in a section; without one, what is above the first."""
    first, *others = re.split(r"^### ", sections()[section], flags=re.MULTILINE)
    texts = {text.partition("\n")[0]: text for text in others}
    return texts[heading] if heading else first


def rows(text, first_column):
    """Return the rows of all tables of `text` whose first column has this name, without marks."""
    found, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            found.append(cells)
    return found


def fields_in(*texts):
    """Return type and shape of every field in the tables of texts; a later text replaces what one before says."""
    fields = {name: (kinds, shape) for text in texts for name, kinds, shape, *_ in rows(text, "Field")}
    absent = {name for text in texts for name in re.findall(r"There is no `(\w+)`", text)}
    return {name: said for name, said in fields.items() if name not in absent}


def flat(fields, prefix=""):
    """Yield name and value of all fields, those of dictionaries, also of those in lists, as analogInfo.SampleRate."""
    for name, value in fields.items():
        yield prefix + name, value
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and name not in OPEN:
                yield from flat(item, f"{prefix}{name}.")


def kind_of(value):
    """Describe the type of a value as the document does."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array"
    if isinstance(value, list | tuple) and value:
        kinds = dict.fromkeys(map(kind_of, value))
        return f"{type(value).__name__} of {', '.join(sorted(kinds, key=lambda kind: kind == 'None'))}"
    return "None" if value is None else type(value).__name__


def _shapes_of(value):
    """Return the shapes that a value may have in the document: of a list that of its items, or their number."""
    if isinstance(value, list | tuple):
        inner = {shape for item in value for shape in _shapes_of(item)}
        return inner | {(len(value),)} if inner <= {()} else inner
    return {np.shape(value)}


def _expected_length(part, real, sizes):
    """Return what a part of a shape stands for; a new name stands for what is found, anything but names is not read."""
    match = re.fullmatch(r"(?:([A-Za-z_]+)(?: \+ (\d+))?|(\d+))", part)
    if not match:
        return real
    name, more, number = match.groups()
    if number:
        return int(number)
    return sizes.get(name, np.nan) + int(more) if more else sizes.setdefault(name, real)


def check_fields(found, documented, where):
    """Check name, type and shape of fields, pairs of name and value; return the names.

    A name in a shape, as F in (F, 7) and (F + 1,), must stand for one number in all of them, that of the field with
    this name if there is one. Arrays without rows may be so where others have some.
    """
    found = list(found)
    for name, value in found:
        assert name in documented, f"{where}: {name} = {value!r} is not in docs/products.md"
    sizes = {name.rpartition(".")[2]: value for name, value in found if type(value) is int}
    # F + 1 comes after F.
    for name, value in sorted(found, key=lambda field: "+" in documented[field[0]][1]):
        kinds, shape = documented[name]
        kind, said = kind_of(value), f"{where}: {name} is {value!r}, in docs/products.md it is {kinds} {shape}"
        assert any(k == kind or (kind in ("list", "tuple") and k.startswith(kind)) for k in kinds.split(" or ")), said
        parts = [part.strip() for part in shape.strip("()").split(",") if part.strip()]
        possible = [real for real in _shapes_of(value) if len(real) == len(parts)]
        assert possible or kind in ("list", "tuple", "None"), said
        for real, part in zip(possible[0] if possible else (), parts, strict=False):
            assert not real or real == _expected_length(part, real, sizes), f"{said}, where {part} is not {real}"
    return {name for name, _ in found}


def check_columns(table, documented, where):
    """Check names and types of the columns of a table of text, read without types."""
    assert list(table.columns) == [name for name, *_ in documented], where
    for name, kind, *_ in documented:
        wrong = {text for text in set(table[name]) if text and not re.fullmatch(TEXTS[kind], text)}
        assert not wrong, f"{where}: {name} is no {kind}: {wrong}"


def named_files(with_rules=()):
    """Return level, rules and arguments of every file in the table of names, or of those of some rules."""
    found = {}
    for names, level, rules, arguments in rows(sections()["File names"], "File"):
        if not with_rules or set(rules.split(", ")) & set(with_rules):
            found |= {name: (level, rules, arguments) for name in names.split(", ")}
    return found


def check_names(day):
    """Check that every file below a day's results is in the table of names, with its level and arguments."""
    documented, found = named_files(), set()
    for path in sorted(path for path in day.rglob("*.*") if path.is_file()):
        name = path.name
        assert name in documented, f"{path} is not in the table of docs/products.md"
        level, _, arguments = documented[name]
        folders = [folder for folder in path.relative_to(day).parts[:-1] if folder != "unaligned"]
        assert level == ("day and channel" if folders[:1] == ["mountains"] else LEVELS[len(folders)]), path
        fields = read_product(path) if re.search(r"_[0-9a-f]{4}\.hkl$", name) else {}
        if "args" in fields:
            listed = ", ".join(f"{key} {value}" for key, value in fields["args"].items())
            assert arguments.endswith(listed or "none"), f"{path}: {listed}"
        else:
            assert arguments == "no hash", path
        found.add(name)
    return found
