"""What the metadata of a TIFF recording say about its planes, channels and their order.

Reads ImageJ's description, OME-XML (2016-06 and the schemas before it, as far as Pixels and TiffData go), ScanImage's
settings from 2016 on, and the shape that tifffile writes. Only one order can be read as a movie: the channels of a
plane one after another, then the planes of a volume, then the time points.

Does not read the settings of ScanImage 3 to 5, of Bruker, Thorlabs or Micro-Manager outside OME-XML: such a file says
nothing, and the configuration must.
"""

import json
import math
import re
import struct
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np

from hippflow.errors import FormatError
from hippflow.io.tiff_layout import Page, TiffStructure

#: First bytes of the settings that ScanImage writes behind the header of a BigTIFF.
_SCANIMAGE_MAGIC = 117637889

#: Most pages that OME-XML may list: a day and a half at 30 a second.
MAX_PAGES = 1 << 22


@dataclass(frozen=True)
class Dimensions:
    """Dimensions of a recording, as far as one file's metadata say.

    Attributes
    ----------
    source : str
        ``ImageJ``, ``OME``, ``ScanImage``, ``tifffile``, or empty: no metadata.
    planes, channels : int or None
        None where nothing is said.
    stack : (str, int) or None
        Of a file with one time point: ``planes`` or ``channels``, and how many. Programs write the frames of a movie so
        too, ImageJ as slices and tifffile as channels, and so it may be either.
    pages : int or None
        Pages that the file must have.
    in_one_piece : bool
        Whether `pages` may follow the first one without tables of their own.
    placed : dict of str to range
        By file name (empty for this file): the number of every page in the whole recording, counted in movie order.
    """

    source: str = ""
    planes: int | None = None
    channels: int | None = None
    stack: tuple[str, int] | None = None
    pages: int | None = None
    in_one_piece: bool = False
    placed: dict[str, range] = field(default_factory=dict)


def read_dimensions(structure: TiffStructure, page: Page) -> Dimensions:
    """Read the dimensions from the metadata of a file and its first page.

    Raises
    ------
    FormatError
        Metadata that contradict themselves, or an order that is no movie's.
    """
    name = structure.source.name
    description = structure.text(page, "description")
    if description.startswith(("ImageJ=", "SCIFIO=")):
        return _imagej(description, name)
    if description.lstrip("\ufeff").startswith("<") and "<OME" in description[:4096]:
        return _ome(description, name)
    settings = structure.text(page, "software")
    if not settings.startswith("SI."):
        settings = description if "scanimage.SI." in description else _scanimage_block(structure)
    if settings:
        return _scanimage(settings, name)
    if description.startswith('{"shape":'):
        return _tifffile(description, page, name)
    return Dimensions()


def _counts(sizes: dict[str, int]) -> dict[str, int | tuple[str, int] | None]:
    """Return what the sizes along C, Z and T, where they are given, say about planes and channels."""
    channels, planes = sizes.get("C"), sizes.get("Z")
    if sizes.get("T", 1) > 1:
        return {"planes": planes, "channels": channels}
    if planes and planes > 1:
        return {"channels": channels, "stack": ("planes", planes)}
    if channels and channels > 1:
        return {"planes": planes, "stack": ("channels", channels)}
    return {"planes": planes, "channels": channels}


def _imagej(description: str, name: str) -> Dimensions:
    """Read ImageJ's lines ``key=number``; what is one is left out there, and so nothing is said about it."""
    found = dict(re.findall(r"^(images|channels|slices|frames)=([0-9]{1,18})[ \t\r]*$", description, re.MULTILINE))
    sizes = {key: int(value) for key, value in found.items()}
    if not all(sizes.values()):
        raise FormatError(f"{name}: expected sizes from 1 in ImageJ's description, found 0; the metadata are damaged")
    n_images = sizes.pop("images", None)
    if sizes and n_images and math.prod(sizes.values()) != n_images:
        parts = " x ".join(f"{value} {key}" for key, value in sizes.items())
        raise FormatError(
            f"{name}: expected ImageJ's {n_images} images to be its {parts}, found {math.prod(sizes.values())}; save "
            "the stack anew with ImageJ"
        )
    axes = {"C": "channels", "Z": "slices", "T": "frames"}
    counts = _counts({axis: sizes[key] for axis, key in axes.items() if key in sizes})
    return Dimensions("ImageJ", pages=n_images, in_one_piece=True, **counts)


def _tifffile(description: str, page: Page, name: str) -> Dimensions:
    """Read the JSON that tifffile writes; its axes are known only where its user named them."""
    try:
        found = json.loads(description)
        shape, axes = [int(size) for size in found["shape"]], str(found.get("axes", ""))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Dimensions()  # somebody else's JSON
    if not all(0 < size < 2**31 for size in shape):
        raise FormatError(
            f"{name}: expected sizes from 1 in tifffile's description, found shape {shape}; the metadata are damaged"
        )
    truncated = found.get("truncated") is True
    n_pages = math.prod(shape) // (page.layout.height * page.layout.width)
    sizes = dict(zip(axes, shape, strict=False)) if len(axes) == len(shape) else {}
    outer = [axis for axis in sizes if axis in "TZC"]
    pages = n_pages if truncated else None
    if not outer or set(sizes) - set("TZCYX"):
        return Dimensions("tifffile", pages=pages, in_one_piece=truncated)
    if not _is_movie_order("".join(reversed([axis for axis in outer if sizes[axis] > 1]))):
        raise _order_error(f"axes {axes}", name)
    return Dimensions("tifffile", pages=pages, in_one_piece=truncated, **_counts(sizes))


def _is_movie_order(fastest_first: str) -> bool:
    return fastest_first == "".join(axis for axis in "CZT" if axis in fastest_first)


def _order_error(found: str, name: str) -> FormatError:
    return FormatError(
        f"{name}: expected the channels of a plane one after another, then the planes, then the time points (XYCZT), "
        f"found {found}; save the recording in that order"
    )


def _setting(settings: str, key: str) -> str | None:
    match = re.search(rf"^(?:scanimage\.)?SI\.{re.escape(key)}[ \t]*=(.*)$", settings, re.MULTILINE)
    return match[1].strip() if match else None


def _scanimage_block(structure: TiffStructure) -> str:
    """Return the settings that lie between header and first page of ScanImage's BigTIFFs."""
    if not structure.big or structure.order != "<" or structure.first < 32:
        return ""
    magic, _, n_bytes, _ = struct.unpack("<4I", structure.source.at(16, 16, "the header"))
    if magic != _SCANIMAGE_MAGIC:
        return ""
    return structure.source.at(32, n_bytes, "ScanImage's settings").decode("utf-8", errors="replace")


def _scanimage(settings: str, name: str) -> Dimensions:
    """Read ScanImage's settings; slices are taken only while a stack is enabled, as old values stay behind.

    The frames during the flyback of the objective are in the files, as planes of their own.
    """
    saved = _setting(settings, "hChannels.channelSave")
    channels = len(re.findall(r"\d+", saved)) if saved else None
    fast = _setting(settings, "hFastZ.enable") in ("true", "1")
    stack = fast or _setting(settings, "hStackManager.enable") in ("true", "1")

    def number(key: str) -> int | None:
        value = _setting(settings, key)
        return int(value) if value and re.fullmatch("[0-9]{1,9}", value) else None

    slices = number("hStackManager.actualNumSlices") or number("hStackManager.numSlices")
    if not stack or (slices == 1 and not fast):
        return Dimensions("ScanImage", planes=1, channels=channels)
    in_volume = number("hStackManager.numFramesPerVolume")
    repeats = in_volume // slices if in_volume and slices else number("hStackManager.framesPerSlice") or 1
    if not fast or repeats > 1:
        kind = f"{repeats} frames a slice" if fast else "a slow stack"
        raise FormatError(
            f"{name}: expected a movie whose planes follow each other in time, found ScanImage's settings of {kind} "
            "(all frames of a plane, then those of the next); split the recording by plane"
        )
    planes = number("hStackManager.numFramesPerVolumeWithFlyback") or number("hFastZ.numFramesPerVolume")
    if planes is None and slices is not None:
        planes = slices + (number("hFastZ.numDiscardFlybackFrames") or 0)
    if planes is None:
        raise FormatError(
            f"{name}: expected ScanImage's number of frames a volume (SI.hStackManager.numFramesPerVolumeWithFlyback), "
            "found a fast stack without it; save the recording without these settings and set movie.planes"
        )
    return Dimensions("ScanImage", planes=planes, channels=channels)


def _ome(description: str, name: str) -> Dimensions:
    """Read OME-XML; of several images it is the one of which this file holds pages."""
    try:
        root = ET.fromstring(description.lstrip("\ufeff").encode())
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two: of encodings that are not read
        raise FormatError(f"{name}: expected OME-XML in the description, found {error}; the file is damaged") from error
    own = {root.get("UUID"), re.split(r"[/\\]", name)[-1]}
    here = [pixels for pixels in root.iterfind(".//{*}Pixels") if _is_here(pixels, own)]
    if not here:
        return Dimensions()  # the metadata are in another file of the set
    if len(here) > 1:
        raise FormatError(
            f"{name}: expected one movie, found {len(here)} images in its OME-XML; save each as a file of its own"
        )
    pixels = here[0]
    try:
        sizes = {axis: int(pixels.get(f"Size{axis}", "")) for axis in "CZT"}
        order = pixels.get("DimensionOrder", "")[2:]
        if sorted(order) != ["C", "T", "Z"] or min(sizes.values()) < 1:
            raise ValueError(f"DimensionOrder {pixels.get('DimensionOrder')!r} of {sizes}")
        placed = _ome_places(pixels, own, sizes, order)
    except ValueError as error:
        raise FormatError(
            f"{name}: expected sizes, order and places of pages in the OME-XML, found {error}; the metadata are damaged"
        ) from error
    ordered = all((np.diff(pages) == 1).all() for pages in placed.values())
    if not ordered or not (placed or _is_movie_order("".join(axis for axis in order if sizes[axis] > 1))):
        raise _order_error(f"XY{order} in its OME-XML", name)
    stretches = {file: range(int(pages[0]), int(pages[-1]) + 1) for file, pages in placed.items()}
    pages = len(stretches[""]) if "" in stretches else None
    return Dimensions("OME", pages=pages, placed=stretches, **_counts(sizes))


def _file_of(data: ET.Element, own: set[str | None]) -> str:
    """Return the name of the file that a TiffData element is about, empty for the one it stands in."""
    uuid = data.find("{*}UUID")
    if uuid is None:
        return ""
    text, file = (uuid.text or "").strip(), uuid.get("FileName") or ""
    return "" if text in own or file in own else file or text


def _is_here(pixels: ET.Element, own: set[str | None]) -> bool:
    blocks = pixels.findall("{*}TiffData")
    return not blocks or any(not _file_of(data, own) for data in blocks)


def _ome_places(pixels: ET.Element, own: set[str | None], sizes: dict[str, int], order: str) -> dict[str, np.ndarray]:
    """Return the pages of every file numbered in movie order: channel, then plane, then time."""
    total, n_listed = math.prod(sizes.values()), 0
    places: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for data in pixels.iterfind("{*}TiffData"):
        page, count = int(data.get("IFD", 0)), int(data.get("PlaneCount", 1 if "IFD" in data.attrib else total))
        first = [int(data.get(f"First{axis}", 0)) for axis in order]
        index = sum(place * math.prod(sizes[faster] for faster in order[:i]) for i, place in enumerate(first))
        count = min(count, total - index)
        n_listed += max(0, count)
        if min(page, *first) < 0 or max(page, n_listed) > MAX_PAGES or total >= 2**62:
            raise ValueError(f"{count} pages from page {page}, at {dict(zip(order, first, strict=True))} of {sizes}")
        if count < 1:
            continue
        at, rest = {}, np.arange(index, index + count)
        for axis in order:
            rest, at[axis] = np.divmod(rest, sizes[axis])
        numbers = at["C"] + sizes["C"] * (at["Z"] + sizes["Z"] * at["T"])
        places.setdefault(_file_of(data, own), []).append((np.arange(page, page + count), numbers))
    found = {}
    for file, parts in places.items():
        listed, numbers = (np.concatenate(values)[::-1] for values in zip(*parts, strict=True))
        found[file] = numbers[np.unique(listed, return_index=True)[1]]  # of a page that is listed twice, the last
    return found
