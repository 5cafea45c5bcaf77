"""Executes a notebook in a kernel of this Python and prints, as one JSON array, what each code cell showed.

Usage: drive.py NOTEBOOK [TEXT]. NOTEBOOK is an .ipynb, or a .py whose cells begin with "# %%". Once a cell has shown TEXT, its kernel is
interrupted, as the button of a notebook does.
"""

import asyncio
import json
import sys
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient


class Driver(NotebookClient):
    text = ""

    def process_message(self, message, cell, index):
        if self.text and self.text in message["content"].get("text", ""):
            self.text = ""
            self.interruption = asyncio.ensure_future(self.km.interrupt_kernel())
        return super().process_message(message, cell, index)


def shown(cell):
    """Source, text of the streams, errors and pictures of one cell."""
    show = {"source": cell.source, "text": "", "error": "", "lines": [], "pictures": []}
    for output in cell.outputs:
        if output.output_type == "stream":
            show["text"] += output.text
        elif output.output_type == "error":
            show["error"], show["lines"] = output.ename, output.traceback
        elif "image/png" in output.data:
            show["pictures"].append(output.data["image/png"])
    return show


path = Path(sys.argv[1])
if path.suffix == ".py":
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(each.strip()) for each in path.read_text().split("# %%\n")]
else:
    notebook = nbformat.read(path, as_version=4)
kernel = AsyncKernelManager()
kernel.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
driver = Driver(notebook, km=kernel, timeout=200, allow_errors=True, resources={"metadata": {"path": str(path.parent)}})
driver.text = sys.argv[2] if len(sys.argv) > 2 else ""
driver.execute(cwd=str(path.parent))
print(json.dumps([shown(cell) for cell in notebook.cells if cell.cell_type == "code"]))
