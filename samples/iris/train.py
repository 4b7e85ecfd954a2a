"""Trains the iris classifiers of the samples and writes them as ONNX with the metadata that the embedded server reads.

Run it in a virtual environment of its own (Python 3.11 or later), from any folder:

    python3 -m venv /tmp/iris && /tmp/iris/bin/pip install -r samples/iris/requirements.txt
    /tmp/iris/bin/python samples/iris/train.py

It writes samples/iris/model (a tree of depth 2) and samples/iris-v2/model (depth 4), so that an update from one to the
other is visible in the probabilities. The same versions of the packages give the same bytes.
"""

import json
from pathlib import Path

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

SAMPLES = Path(__file__).resolve().parent.parent
FEATURES = 4
CLASSES = 3


def train(depth: int):
    """A decision tree over the 150 flowers, as an ONNX graph with plain tensors as outputs (no list of maps)."""
    flowers = load_iris()
    tree = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(flowers.data, flowers.target)
    return to_onnx(
        tree,
        name="iris",
        initial_types=[("predict", FloatTensorType([None, FEATURES]))],
        options={"zipmap": False},
        target_opset=17,
    )


def metadata(depth: int) -> dict:
    return {
        "name": "iris",
        "platform": "onnx",
        "parameters": {"description": f"iris species by a decision tree of depth {depth}"},
        "inputs": [{"name": "predict", "datatype": "FP32", "shape": [-1, FEATURES]}],
        "outputs": [
            # A graph cannot name an output like an input; "source" is the graph's own name of what users call predict.
            {"name": "predict", "source": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, CLASSES]},
        ],
    }


def write(folder: Path, depth: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = train(depth)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (folder / "model.json").write_text(json.dumps(metadata(depth), indent=2) + "\n")


if __name__ == "__main__":
    write(SAMPLES / "iris" / "model", depth=2)
    write(SAMPLES / "iris-v2" / "model", depth=4)
