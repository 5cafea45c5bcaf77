"""Packs what a notebook hands to `FabricModel` into an archive of code, and trains it in the job that the archive becomes; packs the
objective of a search likewise.

One pickle holds model, optimizer and functions, so that the optimizer still refers to the model's own parameters afterwards. It is
written in the user's kernel and read in the user's own job; the server stores it and never looks inside.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import linecache
import os
import pickle
import random
import site
import sys
import sysconfig
import tarfile
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = "notebook"
MAIN = "main.py"
LARGE_BYTES = 32 << 20
MOST_SOURCE_BYTES = 4 << 20
_TITLES = {"python": "Python", "torch": "torch", "tensorflow": "TensorFlow"}

_HOME = Path(__file__).resolve().parent.parent
_MAIN_SCRIPT = """# Trains what a notebook packed beside this file.
import os

from concertina.packing import train_packed

train_packed(os.path.dirname(os.path.abspath(__file__)))
"""

_OBJECTIVE_SCRIPT = """# Computes the objective of a search that is packed beside this file.
import os

from concertina.trial import run_packed

run_packed(os.path.dirname(os.path.abspath(__file__)))
"""


class CannotPack(TypeError):
    """Something the training needs cannot travel; the message names it."""


def pack(target: Path, arguments: dict[str, Any], train: dict[str, Any]) -> list[str]:
    """Write the archive of a job that calls FabricModel(**arguments).train(**train). Returns warnings, each one line.

    Raises CannotPack, naming the argument and the variable that cannot be pickled.
    """
    cloudpickle = _cloudpickle()
    content = {"arguments": arguments, "train": train}
    try:
        packed = cloudpickle.dumps(content)
    except Exception as error:
        raise CannotPack(_unpackable(cloudpickle, {**arguments, **train}, error)) from None
    about = {**_versions("tensorflow" in sys.modules), "random": _random_states(), "sources": _cell_sources()}
    _write(target, cloudpickle, _MAIN_SCRIPT, packed, about)
    return [_large(cloudpickle, {**arguments, **train}, len(packed))] if len(packed) > LARGE_BYTES else []


def pack_objective(target: Path, objective: Any) -> list[str]:
    """Write the archive of jobs that compute an objective of a search, see concertina.trial. Returns warnings; raises CannotPack."""
    cloudpickle = _cloudpickle()
    try:
        packed = cloudpickle.dumps(objective)
    except Exception as error:
        raise CannotPack(_unpackable(cloudpickle, {"objective": objective}, error)) from None
    about = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "sources": _cell_sources()}
    _write(target, cloudpickle, _OBJECTIVE_SCRIPT, packed, about)
    return [_large(cloudpickle, {"objective": objective}, len(packed))] if len(packed) > LARGE_BYTES else []


def _cloudpickle() -> types.ModuleType:
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        raise CannotPack("the kernel's Python has no cloudpickle, which packs functions of a notebook: pip install cloudpickle") from None


def _write(target: Path, cloudpickle: types.ModuleType, script: str, packed: bytes, about: dict[str, Any]) -> None:
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        _add(archive, MAIN, script.encode())
        _add(archive, "packed.pickle", packed)
        _add(archive, "packed.json", json.dumps(about).encode())
        for name, file in _modules(cloudpickle):
            _add(archive, name, file.read_bytes())


def train_packed(folder: str) -> None:
    """In a job's worker: restore what `pack` wrote into this folder and train it. An error shows the user's own lines, no others."""
    about = json.loads(Path(folder, "packed.json").read_text(encoding="utf-8"))
    differing = _differing(about)
    if differing:
        raise SystemExit(differing)
    from fabric_model import FabricModel

    from concertina import process

    try:
        for name, text in about["sources"].items():
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        with open(os.path.join(folder, "packed.pickle"), "rb") as file:
            content = pickle.load(file)
        _restore_random(about["random"])
        FabricModel(**content["arguments"]).train(**content["train"])
    except Exception as error:
        process.users_lines(error)
        traceback.print_exception(error)
        sys.exit(1)


def _differing(about: dict[str, Any]) -> str:
    """One line when this Python or torch is not the kernel's, as far as byte code and saved tensors depend on it."""
    here = _versions("tensorflow" in about)
    if all(about[name] == version for name, version in here.items()):
        return ""
    kernel = ", ".join(f"{_TITLES[name]} {about[name]}" for name in here)
    job = ", ".join(f"{_TITLES[name]} {version}" for name, version in here.items())
    return f"The notebook's kernel runs {kernel}; this job's worker runs {job}; accepted are the same versions on both sides."


def _versions(with_tensorflow: bool) -> dict[str, str]:
    """Minor versions of this Python, torch and, where the model may be Keras', TensorFlow."""
    import torch

    versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "torch": _minor(torch.__version__)}
    if with_tensorflow:
        try:
            versions["tensorflow"] = _minor(importlib.import_module("tensorflow").__version__)
        except ImportError:
            versions["tensorflow"] = "none"
    return versions


def _minor(version: Any) -> str:
    return ".".join(str(version).partition("+")[0].split(".")[:2])


def _random_states() -> dict[str, Any]:
    """Where the kernel's random numbers stand, so that the data function draws what it would have drawn there."""
    import torch

    version, internal, gauss = random.getstate()
    states: dict[str, Any] = {"torch": torch.get_rng_state().numpy().tobytes().hex(), "python": [version, list(internal), gauss]}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, position, has_gauss, cached = numpy.random.get_state()
        states["numpy"] = [name, keys.tolist(), position, has_gauss, cached]
    return states


def _restore_random(states: dict[str, Any]) -> None:
    import torch

    torch.set_rng_state(torch.frombuffer(bytearray.fromhex(states["torch"]), dtype=torch.uint8))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    if "numpy" in states:
        try:
            import numpy
        except ImportError:
            return
        name, keys, position, has_gauss, cached = states["numpy"]
        numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), position, has_gauss, cached))


def _cell_sources() -> dict[str, str]:
    """Source text of the notebook's cells under the names their code objects have; a traceback in the job then shows the lines."""
    sources: dict[str, str] = {}
    size = 0
    for name, known in reversed(list(linecache.cache.items())):
        lines = known[2] if len(known) == 4 else []
        if lines and not os.path.exists(name):
            size += sum(map(len, lines))
            if size > MOST_SOURCE_BYTES:
                break
            sources[name] = "".join(lines)
    return sources


# Modules


def _modules(cloudpickle: types.ModuleType) -> Iterator[tuple[str, Path]]:
    """Files of cloudpickle, which reading the pickle needs, and of the user's own modules: those that no installed package holds."""
    folder = Path(str(cloudpickle.__file__)).parent
    for file in sorted(folder.glob("*.py")):
        yield f"cloudpickle/{file.name}", file
    installed = _installed()
    for name, module in sorted(sys.modules.items()):
        text = getattr(module, "__file__", None)
        if name in ("__main__", "__mp_main__") or not isinstance(text, str) or not text.endswith(".py"):
            continue
        file = Path(text).resolve()
        if not file.is_file() or any(folder in file.parents for folder in installed):
            continue
        parts = name.split(".")
        if all(part.isidentifier() for part in parts) and name not in (MAIN[:-3], "cloudpickle"):
            yield "/".join(parts) + ("/__init__.py" if file.name == "__init__.py" else ".py"), file


def _installed() -> set[Path]:
    folders = {_HOME}
    paths = sysconfig.get_paths()
    for text in [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()]:
        folders.add(Path(text).resolve())
    folders.update(Path(each).resolve() for each in sys.path if Path(each).name in ("site-packages", "dist-packages"))
    return folders


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(f"{FOLDER}/{name}")
    entry.size = len(content)
    entry.mode = 0o600
    archive.addfile(entry, io.BytesIO(content))


# What to say


def _unpackable(cloudpickle: types.ModuleType, parts: dict[str, Any], error: Exception) -> str:
    for name, value in parts.items():
        reason = _reason(cloudpickle, value)
        if reason is None:
            continue
        inside = _guilty(cloudpickle, value)
        where = f"{name} uses {inside[0]!r}, a {type(inside[1]).__name__}, which" if inside else f"{name}, a {type(value).__name__},"
        return f"{where} cannot be sent to the job: {reason}; make it inside the function that needs it"
    return f"the training cannot be sent to the job: {error}"


def _reason(cloudpickle: types.ModuleType, value: Any) -> str | None:
    try:
        cloudpickle.dumps(value)
        return None
    except Exception as error:
        return str(error) or type(error).__name__


def _guilty(cloudpickle: types.ModuleType, value: Any) -> tuple[str, Any] | None:
    """The variable or attribute in the depth of `value` that cannot be pickled by itself."""
    found, seen = None, set()
    while id(value) not in seen:
        seen.add(id(value))
        inside = next(((name, each) for name, each in _inside(value) if _reason(cloudpickle, each) is not None), None)
        if inside is None:
            break
        found, value = inside, inside[1]
    return found


def _inside(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return [(f"[{position}]", each) for position, each in enumerate(value)]
    if isinstance(value, dict):
        return [(str(name), each) for name, each in value.items()]
    if isinstance(value, types.MethodType):
        return [("self", value.__self__)]
    if isinstance(value, types.FunctionType):
        variables = inspect.getclosurevars(value)
        return [*variables.nonlocals.items(), *variables.globals.items()]
    if isinstance(value, type):
        return list(vars(value).items())
    return list(vars(value).items()) if hasattr(value, "__dict__") else []


def _large(cloudpickle: types.ModuleType, parts: dict[str, Any], size: int) -> str:
    """Names the largest variable that travels with a function."""
    largest, most = "", 0
    for name, value in parts.items():
        for inside, each in [("", value)] if name in ("model", "optimizer") else _inside(value):
            length = _length(cloudpickle, each)
            if length > most:
                largest, most = f"{inside!r} in {name}" if inside else name, length
    return (
        f"WARNING: {size / 1e6:.0f} MB are sent to the job"
        + (f", {most / 1e6:.0f} MB of them for {largest}" if largest else "")
        + "; large data is better read from DATA_DIR by the data function."
    )


def _length(cloudpickle: types.ModuleType, value: Any) -> int:
    try:
        return len(cloudpickle.dumps(value))
    except Exception:
        return 0
