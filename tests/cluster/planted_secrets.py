"""Secrets of nobody that tests plant where users have theirs, and the search for them in files and in what is said."""

import base64
import json
from urllib.parse import quote

import h5py

#: Where each is planted, and what it is. None is one of anybody.
CANARIES = {
    "AWS_ACCESS_KEY_ID": "AKIACANARY0KEY000ID1",
    "AWS_SECRET_ACCESS_KEY": "canarySecret/9fG3kQ+zR7xW2vB8nM4pL6sT1yU5",
    "AWS_SESSION_TOKEN": "canaryToken//FwoGZXIvYXdzEBYaDHqa0AP2rW+kJ8sLQ==",
    "webhook in a file": "canaryHookInFile77",
    "webhook on the command line": "canaryHookOnLine88",
    "signature": "canarySignature0123456789abcdef",
    "password": "canaryPassword55",
}


def forms_of(canary):
    """All ways in which a canary could be written: itself, in an address, in UTF-16, and in base64 at any offset."""
    raw = canary.encode()
    forms = {raw, quote(canary, safe="").encode(), canary.encode("utf-16-le"), json.dumps(canary)[1:-1].encode()}
    for skip in range(3):
        coded = base64.b64encode(b"\0" * skip + raw)
        forms.add(coded[4 if skip else 0 : -4])  # without the characters that neighbours change
    return forms


FORMS = {name: forms_of(canary) for name, canary in CANARIES.items()}


def found_in(content):
    return {name for name, forms in FORMS.items() if any(form in content for form in forms)}


def texts_of(path):
    """All text in an HDF5 file, as it is read: compressed or not."""
    texts = []
    with h5py.File(path) as file:

        def look(name, node):
            texts.append(name)
            texts.extend(str(value) for value in node.attrs.values())
            if isinstance(node, h5py.Dataset) and node.dtype.kind in "OS":
                texts.append(str(node[()]))

        file.visititems(look)
    return "\n".join(texts).encode()


def leaks(folder, but=()):
    """Files below a folder that have a canary in them, or in their name."""
    found, searched = {}, 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in but:
            content = path.read_bytes()
            if path.suffix in (".hkl", ".nwb", ".hdf"):
                content += texts_of(path)
            searched += 1
            if names := found_in(content + str(path).encode()):
                found[str(path.relative_to(folder))] = names
    assert searched > 30
    return found
