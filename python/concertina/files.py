"""The model files a job leaves below RESULT_DIR/model/train."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class ModelFiles:
    """Writes model and optimizer state; each file appears whole or not at all, so writing twice is harmless."""

    def __init__(self, results: Path, module: torch.nn.Module, optimizer_state: Callable[[], Any], onnx_sample: Any | None):
        self._results = results
        self._folder = results / "model" / "train"
        self._module = module
        self._optimizer_state = optimizer_state
        self._onnx_sample = onnx_sample

    def epoch(self, completed: int) -> None:
        """Files of an epoch; `completed` counts epochs from 1."""
        self._write(f"model_epoch_{completed}")

    def final(self) -> str:
        """The final files, and ONNX where it was asked for; the model file's path below RESULT_DIR."""
        path = self._write("model_epoch_final")
        if self._onnx_sample is not None:
            self._export()
        return str(path.relative_to(self._results))

    def _write(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.pth"
        weights = {key: _there(value) for key, value in self._module.state_dict().items()}
        self._save(weights, path)
        self._save(self._optimizer_state(), self._folder / f"{name}_optimizer_state.pth")
        return path

    def _save(self, content: Any, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(temporary, "wb") as file:
                torch.save(content, file)
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            # torch hides what the file said behind an error of its own.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            raise OSError(cause.errno, f"{cause.strerror}, a model file could not be written", str(path)) from None

    def _export(self) -> None:
        try:
            import onnx  # noqa: F401
        except ImportError:
            print("enable_onnx: package onnx is not installed, no ONNX file is written.", flush=True)
            return
        path = self._folder / "model_epoch_final.onnx"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        inputs = self._onnx_sample()
        names = [f"input_{position}" if position else "input" for position in range(len(inputs))]
        options: dict = {
            "input_names": names,
            "output_names": ["output"],
            "dynamic_axes": {name: {0: "batch"} for name in [*names, "output"]},
        }
        if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) >= (2, 5):
            options["dynamo"] = False
        self._module.eval()
        try:
            torch.onnx.export(self._module, tuple(inputs), str(temporary), **options)
        finally:
            self._module.train()
        os.replace(temporary, path)


def _there(value: Any) -> Any:
    return value.detach().to("cpu") if isinstance(value, torch.Tensor) else value
