"""Compiled loops: one decorator for every numba kernel, and where its machine code is kept.

What this does: compiles a function at its first call for the types of its arguments and keeps
the result on disk for the next process, of this node or another.

What it does not: use numba's own files. These raise where no folder can be written, share an index
that nodes race for, stop at a damaged file, and do not notice that a function which a kernel calls
has changed. Here every result is a file of its own, named after all that it depends on, put
there whole, checked by its digest before it is unpickled, and neither written to nor read from a place
where somebody else could have put it. Where there is no such place, every process compiles for itself.
"""

import hashlib
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

#: Variables that name a cache folder for kernels, the first that is set alone. Then numba's files lie apart.
FOLDER_VARIABLES = ("HIPPFLOW_CACHE", "NUMBA_CACHE_DIR")

#: What reading what another version of a library has pickled can raise, though the file's name should prevent it.
UNREADABLE = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError, TypeError, ValueError,
    RuntimeError, NumbaError,
)  # fmt: skip

_DIGEST = hashlib.sha256().digest_size


def compiled(
    function: Callable | None = None, *, fastmath: bool | set[str] = False, inline: str = "never"
) -> Callable[..., Any]:
    """Compile a function at its first call, or take the machine code of an earlier process.

    The function runs without the interpreter's lock, and divides by zero as numpy does.

    Parameters
    ----------
    function : callable
        Its source must be in a file, otherwise it is compiled anew by every process.
    fastmath : bool or set of str
        What LLVM may do to floating-point sums; ``{"contract"}`` allows fused multiply-adds.
    inline : {'never', 'always'}
        Whether kernels that call this one take its code into theirs before they are compiled.

    Returns
    -------
    callable
        With numba's attributes; ``py_func`` is the function itself.

    Examples
    --------
    >>> @compiled(fastmath={"contract"})
    ... def dot(x, y):
    ...     total = 0.0
    ...     for k in range(len(x)):
    ...         total += x[k] * y[k]
    ...     return total
    >>> dot(np.arange(3.0), np.ones(3))
    3.0
    """

    def decorate(function: Callable) -> Dispatcher:
        kernel = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, inline=inline)(function)
        if isinstance(kernel, Dispatcher):  # NUMBA_DISABLE_JIT leaves the function as it is
            kernel._cache = KernelCache(function, f"{fastmath if isinstance(fastmath, bool) else sorted(fastmath)}")
        return kernel

    return decorate if function is None else decorate(function)


def cache_folders(source: Path) -> Iterator[Path]:
    """Yield the folders where kernels of a source file may be kept, the preferred one first.

    That which a variable names, alone; else the user's cache folder, one beside the source (an image or an
    installation may hold compiled kernels for all), and one of the machine's temporary folder.
    """
    for name in FOLDER_VARIABLES:
        if os.environ.get(name):
            yield Path(os.environ[name]).absolute() / "hippflow"
            return
    with suppress(RuntimeError):  # a user without a home
        usual = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        yield Path(usual).expanduser().absolute() / "hippflow" / "kernels"
    yield source.parent / "__pycache__" / "kernels"
    with suppress(FileNotFoundError):  # a machine without a temporary folder
        yield Path(tempfile.gettempdir()).absolute() / f"hippflow-kernels-{os.getuid()}"


def trusted(status: os.stat_result) -> bool:
    """Say whether only this user and root could have written a file or folder."""
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


class KernelCache(_Cache):
    """The compiled forms of one function on disk; numba's dispatcher asks it before it compiles, and tells it after."""

    def __init__(self, function: Callable, options: str):
        self._function, self._options = function, options
        self._source = Path(function.__code__.co_filename)
        self._enabled = self._source.is_file()

    @property
    def cache_path(self) -> str:
        """The preferred folder."""
        return str(next(cache_folders(self._source)))

    def enable(self) -> None:
        """Read and write files from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Leave the files alone from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Remove the function's files from the preferred folder."""
        for path in Path(self.cache_path).glob(f"{self._stem}-*.kernel"):
            with suppress(OSError):
                path.unlink()

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """Return what was compiled for a signature, None if that is nowhere, damaged or not to be trusted."""
        target_context.refresh()
        if not self._enabled:
            return None
        name = self._name(sig, target_context.codegen())
        for folder in cache_folders(self._source):
            content = _read(folder / name)
            if content is None:
                continue
            try:
                return CompileResult._rebuild(target_context, *pickle.loads(content))  # noqa: S301 - see _read
            except UNREADABLE:
                continue
        return None

    def save_overload(self, sig: Any, data: CompileResult) -> None:
        """Keep what was compiled in the first folder that can be written and trusted; nowhere if there is none."""
        code, lifted = (getattr(data, name) for name in ("library", "lifted"))
        if not self._enabled or code.has_dynamic_globals or any(not some.can_cache for some in lifted):
            return
        content = numba.core.serialize.dumps(data._reduce())
        name = self._name(sig, data.codegen)
        for folder in cache_folders(self._source):
            with suppress(OSError):
                if _write(folder, name, content):
                    return

    @property
    def _stem(self) -> str:
        return f"{self._source.stem}.{self._function.__qualname__}".replace("<", "").replace(">", "")

    def _name(self, sig: Any, codegen: Any) -> str:
        """Return a file's name, which tells all that the machine code depends on."""
        parts = [sys.version, numba.__version__, llvmlite.__version__, np.__version__, self._options]
        parts += [str(sig), *map(str, codegen.magic_tuple()), *_ingredients(self._function, set())]
        return f"{self._stem}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.kernel"


def _ingredients(function: Callable, seen: set[Callable]) -> Iterator[str]:
    """Yield what a function's machine code is made of: its source, the constants and kernels that it names.

    Those which it reaches through a module (``module.kernel``) are not seen: import their names.
    """
    seen.add(function)
    code = function.__code__
    yield f"{function.__qualname__} {code.co_firstlineno}"
    with suppress(OSError):
        yield hashlib.sha256(Path(code.co_filename).read_bytes()).hexdigest()
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    values = dict(zip(code.co_freevars, cells, strict=True))
    values |= {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
    for name, value in sorted(values.items()):
        inner = getattr(value, "py_func", None) or getattr(value, "_defn", None)  # a kernel, or an intrinsic of numba's
        if inner is not None and inner not in seen:
            yield from _ingredients(inner, seen)
        elif isinstance(value, np.ndarray):
            yield f"{name} {value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        elif isinstance(value, (bool, int, float, complex, str, tuple, np.generic)):
            yield f"{name} {value!r}"


def _read(path: Path) -> bytes | None:
    """Return what a file holds behind its digest, None if it is missing, damaged or could be somebody else's."""
    try:
        if not trusted(path.parent.stat()):
            return None
        with path.open("rb") as file:
            if not trusted(os.fstat(file.fileno())):
                return None
            content = file.read()
    except OSError:
        return None
    digest, content = content[:_DIGEST], content[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None


def _write(folder: Path, name: str, content: bytes) -> bool:
    """Put a file into a folder, which is made if need be; False if others could write there.

    Raises
    ------
    OSError
        The folder cannot be made or written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or not trusted(folder.stat()):
        return False
    descriptor, part = tempfile.mkstemp(prefix=f".{name[:40]}-", dir=folder)  # for this user alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(part, folder / name)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
    return True
