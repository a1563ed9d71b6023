"""The AI system of the demo: a logistic regression on scikit-learn's breast-cancer data, and its decisions.

Data: Wisconsin diagnostic breast cancer, 569 cases of 30 measurements of cell nuclei, bundled with scikit-learn.
40 % of them train the model; it has not seen the others when it decides them.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

VERSION = "screening-1.0.0"
# Below this confidence a human decides.
CONFIDENT = 0.9
_SHOWN = 5
_SEED = 7


@dataclass(frozen=True)
class Decision:
    """One case: what the model says, how sure it is, the measurements that weighed most, and the truth."""

    case_id: str
    input_hash: str
    label: str
    confidence: float
    contributions: dict[str, float]
    latency_ms: float
    truth: str


@dataclass(frozen=True)
class Trained:
    """The model, what identifies it, and the cases that it has not seen."""

    model_hash: str
    data_hash: str
    training_cases: int
    accuracy: float
    _pipeline: Any
    _names: list[str]
    _labels: list[str]
    _cases: list[tuple[int, Any, int]]

    def decisions(self) -> Iterator[Decision]:
        """Decide the unseen cases one by one, as a service would."""
        scaler, model = (step for _, step in self._pipeline.steps)
        for number, features, truth in self._cases:
            started = time.perf_counter()
            probabilities = self._pipeline.predict_proba([features])[0]
            latency = (time.perf_counter() - started) * 1000
            chosen = int(probabilities.argmax())
            weights = scaler.transform([features])[0] * model.coef_[0]
            heaviest = sorted(range(len(weights)), key=lambda at: -abs(weights[at]))[:_SHOWN]
            yield Decision(
                f"case-{number:03d}",
                sha256(features.tobytes()),
                self._labels[chosen],
                round(float(probabilities[chosen]), 6),
                {self._names[at]: round(float(weights[at]), 4) for at in heaviest},
                round(latency, 3),
                self._labels[truth],
            )

    def __len__(self) -> int:
        """How many cases it has not seen."""
        return len(self._cases)


def train() -> Trained:
    """Train the model; the same every time."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    features, truths = data.data, data.target
    seen, unseen = train_test_split(
        list(range(len(truths))), test_size=0.6, random_state=_SEED, stratify=truths
    )
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pipeline.fit(features[seen], truths[seen])
    return Trained(
        sha256(pickle.dumps(pipeline)),
        sha256(features[seen].tobytes() + truths[seen].tobytes()),
        len(seen),
        round(float(pipeline.score(features[unseen], truths[unseen])), 4),
        pipeline,
        [str(name).replace(" ", "_") for name in data.feature_names],
        [str(name).upper() for name in data.target_names],
        [(at, features[at], int(truths[at])) for at in unseen],
    )


def sha256(data: bytes) -> str:
    """The hash as the log writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
