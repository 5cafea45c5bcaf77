"""Evaluation metrics as files: one JSON line per record in evaluation-metrics.txt, a summary for searches in val_dict_list.json."""

from __future__ import annotations

import datetime
import json
import numbers
import os
import time
from typing import Any, TextIO


class EMetrics:
    """Appends records to `<folder>/evaluation-metrics.txt`; folder is LOG_DIR, else JOB_STATE_DIR/logs, else /tmp, then the subid.

    Use as a context manager, or call `close`. With a subid, `close` writes the test records to RESULT_DIR/val_dict_list.json.
    """

    TEST_GROUP = "test"
    TRAIN_GROUP = "train"

    def __init__(self, subid: Any = None) -> None:
        self._subid = subid
        self._tests: list[dict[str, Any]] = []
        folder = os.environ.get("LOG_DIR")
        if not folder:
            state = os.environ.get("JOB_STATE_DIR")
            folder = os.path.join(state, "logs") if state else "/tmp"
        if subid is not None:
            folder = os.path.join(folder, str(subid))
        os.makedirs(folder, exist_ok=True)
        self._file: TextIO | None = open(os.path.join(folder, "evaluation-metrics.txt"), "a", encoding="utf-8")

    @staticmethod
    def open(subid: Any = None) -> EMetrics:
        """An EMetrics that is ready to record."""
        return EMetrics(subid)

    def __enter__(self) -> EMetrics:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def record(self, group: str, iteration: Any, values: dict[str, Any]) -> None:
        """Append one record: `group` TEST_GROUP or TRAIN_GROUP, `iteration` a number, `values` a dict of metric name to value."""
        if self._file is None:
            raise ValueError("EMetrics is closed")
        now = time.time()
        meta = {"training_id": os.environ.get("TRAINING_ID", ""), "time": int(now * 1000), "rindex": 1}
        if self._subid is not None:
            meta["subid"] = str(self._subid)
        stamp = datetime.datetime.fromtimestamp(now).strftime("%Y-%m-%dT%H:%M:%S") + f".{int(now)}"
        line = {
            "meta": meta,
            "grouplabel": group,
            "etimes": {"iteration": _typed(iteration), "time_stamp": {"value": stamp}},
            "values": {str(name): _typed(value) for name, value in values.items()},
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if group == self.TEST_GROUP:
            self._tests.append({"steps": iteration, **values})

    def close(self) -> None:
        """Finish the files; further calls do nothing."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        results = os.environ.get("RESULT_DIR")
        if self._subid is not None and self._tests and results:
            os.makedirs(results, exist_ok=True)
            path = os.path.join(results, "val_dict_list.json")
            temporary = os.path.join(results, f".val_dict_list.json.{os.getpid()}")
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(self._tests, file, default=_plain)
            os.replace(temporary, path)


def _typed(value: Any) -> dict[str, Any]:
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
        return {"value": str(plain)}
    if isinstance(plain, numbers.Integral):
        return {"type": 2, "value": str(plain)}
    return {"type": 3, "value": str(plain)}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
