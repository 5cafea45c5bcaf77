import os
import threading
import time
import zipfile

import keras
import numpy

from concertina import weights_digest
from concertina.client import Access, Client
from concertina.keras_backend import named_weights
from pyedt.fabric_model import FabricModel

gate = os.environ.get("TEST_GATE", "")

# %%
class Batches(keras.utils.PyDataset):
    """In the job each batch takes a while until two workers train, so that the second has steps left to take part in."""

    def __init__(self, values):
        super().__init__()
        self.values = values
        self.labels = (values.sum(1) > 0).astype("int64")

    def __len__(self):
        return len(self.values) // 16

    def __getitem__(self, number):
        if gate and not os.path.exists(gate):
            time.sleep(0.1)
        part = slice(16 * number, 16 * number + 16)
        return self.values[part], self.labels[part]


def datasets():
    values = numpy.random.default_rng(5).normal(size=(320, 8)).astype("float32")
    return Batches(values[:256]), (values[256:], (values[256:].sum(1) > 0).astype("int64"))


def open_gate():
    with Client(Access.find()) as client:
        while not (edt_m.job and any(each["members"] == 2 for each in client.describe(edt_m.job)["switches"])):
            time.sleep(0.1)
    open(gate, "w").close()


layers = [keras.layers.Dense(16, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2), keras.layers.Dense(2)]
model = keras.Sequential([keras.Input((8,)), *layers])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
edt_m = FabricModel(model, datasets, loss, keras.optimizers.Adam(0.01))
# %%
if gate:
    threading.Thread(target=open_gate, daemon=True).start()
edt_m.train(epochs=25, batch_size=8, engines_number=2, validation_freq=5, checkpoint_freq=0)
# %%
result = edt_m.download(os.environ["TMPDIR"])
with zipfile.ZipFile(result) as files:
    (saved,) = [name for name in files.namelist() if name.endswith("model_epoch_final.keras")]
    loaded = keras.saving.load_model(files.extract(saved, os.environ["TMPDIR"]))
print("as Keras loads it", weights_digest(named_weights(loaded)))
# %%
print("sha256", weights_digest(named_weights(model)))
