"""Notebook mode without a platform: what is packed and restored, what is refused, what is read from a log, and the REST client."""

import base64
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import TensorDataset

from concertina import client, curves, packing, weights_digest

HOME = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 120

pytest.importorskip("cloudpickle")

CELLS = '''
import random
import torch
from torch.utils.data import TensorDataset
from pyedt.callbacks import Callback

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 2))

    def forward(self, values):
        return self.layers(values)

class Decay(Callback):
    def on_epoch_end(self, epoch):
        for group in self.params["optimizer"].param_groups:
            group["lr"] *= factor

factor = 0.5

def loss(outputs, labels):
    return torch.nn.functional.cross_entropy(outputs, labels)

def datasets():
    values = torch.randn(48, 4) + random.random()
    return TensorDataset(values, (values.sum(1) > 2).long()), None

torch.manual_seed(3)
random.seed(4)
model = Network()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
arguments = dict(model=model, datasets_function=datasets, loss_function=loss, optimizer=optimizer, user_callback=[Decay()])
train = dict(epochs=3, batch_size=4, engines_number=2)
'''

LOCALLY = CELLS + '''
from fabric_model import FabricModel
FabricModel(**arguments).train(**train)
'''

PACKING = '''
import sys
from pathlib import Path
from concertina.packing import pack
print(pack(Path(sys.argv[1]), arguments, train))
'''


def run(folder, *words, text=None):
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(HOME), "RESULT_DIR": str(folder), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    for name in ("CONCERTINA_CONTROL", "CONCERTINA_LOGICAL_WORKERS", "CHECKPOINT_DIR", "LOG_DIR", "CONCERTINA_URL", "EXEC_TYPE"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )


def packed(folder, script=CELLS + PACKING):
    """The unpacked archive of a script that packs, and what it printed."""
    made = run(folder, "-", str(folder / "job.tar"), text=("import keras, " if "import keras" in script else "import ") + "fabric_model\n" + script)
    assert made.returncode == 0, made.stderr
    with tarfile.open(folder / "job.tar") as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder / packing.FOLDER, made.stdout


def digest(folder):
    return weights_digest(torch.load(folder / "model/train/model_epoch_final.pth", weights_only=True))


def test_a_packed_training_ends_with_the_weights_of_the_same_script(tmp_path):
    alone = run(tmp_path / "alone", "-", text="import fabric_model\n" + LOCALLY)
    assert alone.returncode == 0, alone.stderr
    code, _ = packed(tmp_path / "kernel")
    done = run(tmp_path / "job", str(code / packing.MAIN))
    assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "job") == digest(tmp_path / "alone")


KERAS = '''
import numpy
import keras

def datasets():
    return (x, y), (x[:16], y[:16])

x = numpy.random.default_rng(0).normal(size=(48, 4)).astype("float32")
y = (x.sum(1) > 0).astype("int64")
keras.utils.set_random_seed(1)
layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.3), keras.layers.Dense(2, activation="softmax")]
model = keras.Sequential([keras.Input((4,)), *layers])
optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
loss = "sparse_categorical_crossentropy"
arguments = dict(model=model, datasets_function=datasets, loss_function=loss, optimizer=optimizer)
train = dict(epochs=2, batch_size=4, engines_number=2)
'''

LOADING = '''
import os
import zipfile
from concertina.notebook import _load_keras
folder = os.environ["RESULT_DIR"] + "/model/train"
with zipfile.ZipFile("result.zip", "w") as result:
    for name in os.listdir(folder):
        result.write(folder + "/" + name, "train/" + name)
with zipfile.ZipFile("result.zip") as result:
    _load_keras(result, model, optimizer)
'''

SHOWING = '''
import hashlib
for each in (model.weights, optimizer.variables):
    print(hashlib.sha256(b"".join(numpy.asarray(value).tobytes() for value in each)).hexdigest())
'''


def test_a_packed_keras_model_comes_back_as_the_same_script_leaves_it(tmp_path):
    pytest.importorskip("tensorflow")
    training = "from fabric_model import FabricModel\nFabricModel(**arguments).train(**train)\n"
    alone = run(tmp_path / "alone", "-", text="import keras, fabric_model\n" + KERAS + training + SHOWING)
    assert alone.returncode == 0, alone.stderr
    code, _ = packed(tmp_path / "kernel", KERAS + PACKING)
    done = run(tmp_path / "job", str(code / packing.MAIN))
    assert done.returncode == 0, done.stderr
    back = run(tmp_path / "job", "-", text="import keras, fabric_model\n" + KERAS + LOADING + SHOWING)
    assert back.returncode == 0, back.stderr
    assert back.stdout.splitlines()[-2:] == alone.stdout.splitlines()[-2:]


@pytest.mark.parametrize("name,other", [("python", "3.1"), ("torch", "0.4")])
def test_another_version_in_the_job_ends_it_with_one_line(tmp_path, name, other):
    same = packing._versions(False)
    (tmp_path / "packed.json").write_text(json.dumps({**same, name: other}))
    with pytest.raises(SystemExit) as ended:
        packing.train_packed(str(tmp_path))
    line = str(ended.value.code)
    assert "\n" not in line and "same versions" in line
    assert f"kernel runs Python {({**same, name: other})['python']}" in line and f"worker runs Python {same['python']}" in line
    assert f"torch {({**same, name: other})['torch']}" in line


def test_an_error_in_the_job_shows_the_lines_of_the_notebook_and_no_others(tmp_path):
    script = CELLS + '''
import linecache
cell = "def datasets():\\n    raise KeyError('age')\\n"
linecache.cache["/tmp/cell/7.py"] = (len(cell), None, cell.splitlines(True), "/tmp/cell/7.py")
exec(compile(cell, "/tmp/cell/7.py", "exec"))
arguments["datasets_function"] = datasets
''' + PACKING
    code, _ = packed(tmp_path / "kernel", script)
    done = run(tmp_path / "job", str(code / packing.MAIN))
    assert done.returncode == 1
    assert "raise KeyError('age')" in done.stderr and 'File "/tmp/cell/7.py", line 2, in datasets' in done.stderr
    assert "fabric_model.py" not in done.stderr and "packing.py" not in done.stderr and "main.py" not in done.stderr


def test_modules_of_the_user_travel_along(tmp_path):
    folder = tmp_path / "kernel"
    folder.mkdir()
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "losses.py").write_text("import torch\n\ndef loss(a, b):\n    return torch.nn.functional.cross_entropy(a, b)\n")
    script = "import sys; sys.path.insert(0, '.')\n" + CELLS + "import mine.losses\narguments['loss_function'] = mine.losses.loss\n" + PACKING
    code, _ = packed(folder, script)
    (folder / "mine" / "losses.py").unlink()
    done = run(tmp_path / "job", str(code / packing.MAIN))
    assert done.returncode == 0, done.stderr


def parts(**other):
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return {"model": model, "datasets_function": len, "loss_function": F.cross_entropy, "optimizer": optimizer, **other}


def test_what_cannot_be_pickled_is_named(tmp_path):
    lock = threading.Lock()

    def inner():
        return lock

    def datasets():
        return inner()

    with pytest.raises(packing.CannotPack, match="datasets_function uses 'lock', a lock, which cannot be sent to the job"):
        packing.pack(tmp_path / "job.tar", parts(datasets_function=datasets), {})
    assert not (tmp_path / "job.tar").exists()


def test_large_data_is_named_in_a_warning(tmp_path):
    images = torch.zeros(packing.LARGE_BYTES // 4 + 1)
    assert packing.pack(tmp_path / "small.tar", parts(datasets_function=lambda: None), {}) == []
    (warning,) = packing.pack(tmp_path / "large.tar", parts(datasets_function=lambda: images), {})
    assert "'images' in datasets_function" in warning and "DATA_DIR" in warning


def test_the_log_becomes_points_over_epochs():
    seen = curves.Curves()
    for epoch in range(2):
        for iteration in range(1, 4):
            step = 3 * epoch + iteration
            lines = f"Timestamp {step * 500}, Iteration {iteration}\nmine: {step}\nIteration {iteration}: tag train_loss, simple_value {1 / step}"
            seen.read(lines.split("\n"))
        seen.read([f"Iteration 3: tag test_loss, simple_value {0.5 - epoch / 4}"])
    seen.describe(
        {
            "state": "RUNNING",
            "steps": 6,
            "slotsHeld": 2,
            "workers": [{"slots": ["a"]}],
            "switches": [{"step": 0, "members": 1}, {"step": 4, "members": 2}],
        }
    )
    assert [step for step, _, _ in seen.points()] == [1, 2, 3, 4, 5, 6]
    assert seen.test == [(3, 0.5), (6, 0.25)]
    assert seen.speed() == 2.0
    assert seen.slots == [(0, 1), (4, 2)]
    assert curves.sentence(seen) == "step 6 of 6, train loss 0.16667, test loss 0.25, 2 steps/s on average, 2 slots"


def test_the_figure_has_two_panels(tmp_path):
    pytest.importorskip("matplotlib")
    seen = curves.Curves()
    for step in range(1, 40):
        seen.read([f"Timestamp {step * 100}, Iteration {step}", f"Iteration {step}: tag train_loss, simple_value {1 / step}"])
    picture = curves.drawn(seen, "a job")
    assert picture.startswith(b"\x89PNG")


# The model in a kernel


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    from pyedt.fabric_model import FabricModel

    for name in ("CONCERTINA_URL", "CONCERTINA_USER", "CONCERTINA_PASSWORD", "CONCERTINA_TOKEN", "CONCERTINA_CERTIFICATE", "EXEC_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONCERTINA_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("RESULT_DIR", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return FabricModel


def small():
    values = torch.ones(8, 4)
    return TensorDataset(values, values[:, 0].long()), None


def test_without_a_server_it_trains_here(kernel, tmp_path):
    given = parts(datasets_function=small)
    kernel(**given).train(1, 4, 2)
    assert digest(tmp_path) == weights_digest(given["model"].state_dict())


def test_a_result_brings_back_the_weights_and_where_torch_can_the_optimizers_state(kernel, tmp_path, capsys):
    from concertina.notebook import _load_torch

    given, other = parts(datasets_function=small), parts()
    given["optimizer"].param_groups[0]["lr"] = 0.25
    kernel(**given).train(1, 4, 2)
    path = tmp_path / "result.zip"
    with zipfile.ZipFile(path, "w") as result:
        for name in ("model_epoch_final.pth", "model_epoch_final_optimizer_state.pth"):
            result.write(tmp_path / "model/train" / name, f"train/{name}")
    with zipfile.ZipFile(path) as result:
        _load_torch(result, other["model"], other["optimizer"])
    assert weights_digest(other["model"].state_dict()) == weights_digest(given["model"].state_dict())
    if torch.__version__.startswith("1."):
        assert "The optimizer stays as it was" in capsys.readouterr().out
    else:
        assert other["optimizer"].param_groups[0]["lr"] == 0.25


def test_in_a_worker_it_is_the_class_that_trains(tmp_path):
    script = "import os; os.environ['CONCERTINA_CONTROL'] = 'x'\nimport fabric_model, pyedt.fabric_model\n"
    script += "print(pyedt.fabric_model.FabricModel is fabric_model.FabricModel)"
    assert run(tmp_path / "worker", "-c", script).stdout == "True\n"


def test_notebook_mode_without_a_server_says_what_is_missing(kernel, monkeypatch):
    monkeypatch.setenv("EXEC_TYPE", "notebook")
    with pytest.raises(ValueError, match="no server is known"):
        kernel(**parts())
    with pytest.raises(ValueError, match="nobody is named for https://host:1"):
        kernel(**parts(), server="https://host:1")


@pytest.mark.parametrize(
    "named,message",
    [
        ({"epochs": 0}, "epochs is 0; accepted is a whole number of at least 1"),
        ({"engines_number": 2, "effective_batch_size": 8}, "accepted is one of the two"),
        ({"worker_memory": "much"}, "worker_memory is 'much'; accepted is a size such as '16G'"),
        ({"scaleup_function": 3}, "scaleup_function is a int; accepted is a function"),
        ({"sums": "quick"}, "sums is 'quick'; accepted are exact and float"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(kernel, named, message):
    model = kernel(**parts(), server="http://127.0.0.1:9", token="t")
    with pytest.raises(ValueError, match=message):
        model.train(**{"epochs": 1, "batch_size": 1, **named})


def test_the_kernels_choice_of_sums_goes_with_the_job_unless_train_makes_its_own(kernel, monkeypatch, server, tmp_path):
    model = kernel(**parts(datasets_function=small), server=access(server).url, user="ann", password="pass:word")

    def sent(**named):
        with pytest.raises(client.Refused, match="no room"):
            model.train(1, 4, 2, **named)
        body = server.uploads[-1]
        start = body.index(b"\r\n\r\n") + 4
        with tarfile.open(fileobj=io.BytesIO(body[start : body.rindex(b"\r\n--")])) as archive:
            return pickle.load(archive.extractfile(f"{packing.FOLDER}/packed.pickle"))["train"].get("sums")

    assert sent() is None
    monkeypatch.setenv("CONCERTINA_SUMS", "float")
    assert sent() == "float"
    assert sent(sums="exact") == "exact"
    monkeypatch.setenv("CONCERTINA_SUMS", "quick")
    with pytest.raises(ValueError, match="CONCERTINA_SUMS is 'quick'; accepted are exact and float"):
        model.train(1, 4, 2)


def test_a_model_on_a_device_is_refused(kernel):
    model = torch.nn.Linear(4, 2, device="meta")
    given = {**parts(), "model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
    with pytest.raises(ValueError, match="model has parameters on meta; accepted are parameters on the CPU"):
        kernel(**given, server="http://127.0.0.1:9", token="t")


# The client


class Answers(BaseHTTPRequestHandler):
    """Knows one user, whose tokens work once, and refuses one job and every upload, which it keeps."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.seen.append(self.path)
        if self.path == "/auth/v1/logon":
            wanted = "Basic " + base64.b64encode(b"ann:pass:word").decode()
            if self.headers["Authorization"] != wanted:
                return self.answer(401, "Error 401: wrong user or password\n")
            server.tokens.append(f"token{len(server.tokens)}")
            return self.answer(200, json.dumps({"accessToken": server.tokens[-1]}))
        if self.headers["Authorization"] != f"Bearer {server.tokens[-1] if server.tokens else ''}" or server.expired:
            server.expired = False
            return self.answer(401, "Error 401: token has ended\n")
        if self.path.endswith("/execs/none"):
            return self.answer(400, "Error 400: cannot find task none\n")
        return self.answer(200, json.dumps({"id": "j-1", "state": "RUNNING"}))

    def do_POST(self):
        self.server.uploads.append(self.rfile.read(int(self.headers["Content-Length"])))
        return self.answer(400, "Error 400: no room\n")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.seen, server.tokens, server.uploads, server.expired = [], [], [], False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def access(server, password="pass:word"):
    return client.Access(f"http://127.0.0.1:{server.server_port}", "ann", password)


def test_a_token_that_has_ended_is_replaced(server):
    with client.Client(access(server)) as here:
        assert here.get("j-1")["state"] == "RUNNING"
        server.expired = True
        assert here.get("j-1")["state"] == "RUNNING"
    assert server.seen.count("/auth/v1/logon") == 2


def test_a_refusal_is_the_servers_sentence_and_holds_no_secret(server):
    with client.Client(access(server)) as here:
        with pytest.raises(client.Refused, match="^cannot find task none$") as refused:
            here.get("none")
        assert refused.value.status == 400
    with client.Client(access(server, "wrong-secret")) as here:
        with pytest.raises(client.Refused, match="^wrong user or password$"):
            here.get("j-1")
    assert "secret" not in repr(access(server, "wrong-secret"))


def test_a_server_that_is_away_is_named():
    with client.Client(client.Access("http://127.0.0.1:9", "ann", "x")) as here:
        with pytest.raises(client.Unreachable, match="http://127.0.0.1:9 does not answer"):
            here.get("j-1")


def test_this_machines_own_password_is_never_sent_elsewhere(monkeypatch, tmp_path):
    for name in ("CONCERTINA_URL", "CONCERTINA_USER", "CONCERTINA_PASSWORD", "CONCERTINA_TOKEN", "CONCERTINA_CERTIFICATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "client.yaml").write_text('---\nurl: "https://127.0.0.1:9443"\ncertificate: "/c.pem"\nuser: "admin"\npassword: "a\\"b"\n')
    monkeypatch.setenv("CONCERTINA_DATA", str(tmp_path))
    found = client.Access.find()
    assert (found.url, found.user, found.password, found.certificate) == ("https://127.0.0.1:9443", "admin", 'a"b', "/c.pem")
    with pytest.raises(ValueError, match="nobody is named"):
        client.Access.find(server="https://elsewhere:9443")
    with pytest.raises(ValueError, match="accepted is https://host:port"):
        client.Access.find(server="elsewhere")


def test_an_unreadable_certificate_is_named(tmp_path):
    with pytest.raises(ValueError, match="certificate is .*none.pem"):
        client.Client(client.Access("https://127.0.0.1:9", "ann", "x", certificate=str(tmp_path / "none.pem")))
