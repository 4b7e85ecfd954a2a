"""Trains the iris classifiers that MLServer serves in the samples and tests, and writes them with joblib.

Run it in a virtual environment of its own (Python 3.11 or later), from any folder; the versions of the packages are
those that `millrace up` installs MLServer with:

    python3 -m venv /tmp/iris && /tmp/iris/bin/pip install -r samples/iris-sklearn/requirements.txt
    /tmp/iris/bin/python samples/iris-sklearn/train.py

It writes samples/iris-sklearn/model (a logistic regression) and samples/iris-sklearn-v2/model (a decision tree), so that
an update from one to the other is visible in the probabilities. The same versions of the packages give the same bytes.
"""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

SAMPLES = Path(__file__).resolve().parent.parent


def write(sample: str, classifier) -> None:
    flowers = load_iris()
    folder = SAMPLES / sample / "model"
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(classifier.fit(flowers.data, flowers.target), folder / "model.joblib")


if __name__ == "__main__":
    write("iris-sklearn", LogisticRegression(max_iter=1000, random_state=0))
    write("iris-sklearn-v2", DecisionTreeClassifier(max_depth=2, random_state=0))
