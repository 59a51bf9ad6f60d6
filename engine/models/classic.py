"""Classifiers with fit and predict: nearest neighbours, linear SVM, softmax regression."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from .. import Tensor, from_numpy, matmul, nn, no_grad, optim
from ..nn import functional as F
from ..random import Generator
from ..utils.data import DataLoader, TensorDataset

__all__ = ["NearestNeighbors", "LinearSVM", "SoftmaxClassifier"]


def _tensor(name: str, argument: str, value: Any) -> Tensor:
    t = value if isinstance(value, Tensor) else from_numpy(np.asarray(value))
    if not t.ndim:
        raise ValueError(f"{name}: {argument} must have a first dimension of samples; got a number")
    return t


def _samples(name: str, X: Any) -> Tensor:
    """Samples as a floating-point matrix (N, D)."""
    x = _tensor(name, "X", X)
    x = x if x.dtype.is_floating_point else x.float()
    return x.reshape(int(x.shape[0]), -1).detach()


class NearestNeighbors:
    """The k-nearest-neighbour classifier.

    Args:
        k: How many neighbours vote.
        p: 1: distances are sums of absolute differences; 2: Euclidean.
        chunk: How many pairs' distances, at most, are held at a time.

    Raises:
        ValueError: k or chunk below 1, another p.

    A class that is tied for the most votes wins if its nearest neighbour is nearer. Euclidean
    distances come from one matrix product a chunk: |a - b|^2 = |a|^2 - 2 a b + |b|^2.

    Source: Cover, Hart (1967), Nearest neighbor pattern classification.
    """

    def __init__(self, k: int = 1, p: int = 2, chunk: int = 2**22) -> None:
        if k < 1 or chunk < 1:
            raise ValueError(f"NearestNeighbors: k and chunk must be at least 1; got {k}, {chunk}")
        if p not in (1, 2):
            raise ValueError(f"NearestNeighbors: p must be 1 or 2; got {p!r}")
        self.k = k
        self.p = p
        self.chunk = chunk

    def fit(self, X: Any, y: Any) -> NearestNeighbors:
        """Keeps the samples.

        Args:
            X: Samples, (N, ...): a tensor or an array.
            y: Their classes, (N,) ints.

        Raises:
            ValueError: As many classes as samples are needed, and at least k.
        """
        self.samples = _samples("NearestNeighbors", X)
        self.labels = [int(label) for label in _tensor("NearestNeighbors", "y", y).tolist()]
        if len(self.labels) != int(self.samples.shape[0]) or len(self.labels) < self.k:
            raise ValueError(
                f"NearestNeighbors: as many classes as samples, and at least k={self.k}, are "
                f"needed; got {len(self.labels)} classes, {self.samples.shape[0]} samples"
            )
        self._squares = (self.samples * self.samples).sum(1)
        return self

    def distances(self, X: Any) -> Tensor:
        """Distances to the samples, (queries, samples); for p = 2 Euclidean ones.

        Raises:
            RuntimeError: Samples of another size.
        """
        x = _samples("NearestNeighbors", X)
        size = int(self.samples.shape[1])
        if int(x.shape[1]) != size:
            raise RuntimeError(
                f"NearestNeighbors: queries must have {size} features, as the samples; "
                f"got {x.shape[1]}"
            )
        with no_grad():
            return self._distances(x.to(dtype=self.samples.dtype))

    def _distances(self, x: Tensor) -> Tensor:
        if self.p == 2:
            products = matmul(x, self.samples.transpose(0, 1))
            squares = (x * x).sum(1, keepdim=True) - products * 2.0 + self._squares
            return F.relu(squares).sqrt()
        return (x.unsqueeze(1) - self.samples.unsqueeze(0)).abs().sum(2)

    def kneighbors(self, X: Any) -> tuple[list[list[float]], list[list[int]]]:
        """Distances and indices of the k nearest samples of each query, the nearest first."""
        x = _samples("NearestNeighbors", X)
        count = int(self.samples.shape[0])
        pairs = count if self.p == 2 else count * max(int(self.samples.shape[1]), 1)
        rows = max(1, self.chunk // pairs)
        near: list[list[float]] = []
        where: list[list[int]] = []
        for first in range(0, int(x.shape[0]), rows):
            found, at = self.distances(x[first : first + rows]).topk(self.k, 1, largest=False)
            near += found.tolist()
            where += at.tolist()
        return near, where

    def predict(self, X: Any) -> Tensor:
        """The class of each query, (queries,) int64."""
        answers = []
        for at in self.kneighbors(X)[1]:
            votes = [self.labels[i] for i in at]
            counts = Counter(votes)
            most = max(counts.values())
            answers.append(next(label for label in votes if counts[label] == most))
        return from_numpy(np.array(answers, np.int64))

    def score(self, X: Any, y: Any) -> float:
        """The share of queries whose class is right."""
        return _accuracy(self.predict(X), _tensor("NearestNeighbors", "y", y))


def _accuracy(answers: Tensor, y: Tensor) -> float:
    right = [a == b for a, b in zip(answers.tolist(), y.tolist(), strict=True)]
    return sum(right) / len(right) if right else 0.0


class _Linear(nn.Module):
    """A linear layer on flat samples, trained by mini-batches.

    Args:
        epochs: Passes over the samples.
        lr: Learning rate of Adam.
        batch_size: Samples a step.
        weight_decay: Strength of the penalty on the squared weights.
        generator: Of the samples' order and the first weights; default: the default generator.
    """

    def __init__(
        self,
        epochs: int = 50,
        lr: float = 0.01,
        batch_size: int = 128,
        weight_decay: float = 1e-4,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if epochs < 1 or batch_size < 1 or not lr > 0 or not weight_decay >= 0:
            raise ValueError(
                f"{type(self).__name__}: epochs, batch_size >= 1, lr > 0, weight_decay >= 0 are "
                f"needed; got {epochs}, {batch_size}, {lr}, {weight_decay}"
            )
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.generator = generator
        self.linear: nn.Linear | None = None
        #: The mean loss of each epoch of the last fit.
        self.losses: list[float] = []

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch."""
        raise NotImplementedError

    def fit(self: Any, X: Any, y: Any) -> Any:
        """Learns from samples, from the beginning.

        Args:
            X: Samples, (N, ...): a tensor or an array.
            y: Their classes, (N,) ints from 0.

        Raises:
            ValueError: As many classes as samples are needed, and at least one.
        """
        name = type(self).__name__
        x, target = _samples(name, X), _tensor(name, "y", y)
        if x.shape[0] != target.shape[0] or not int(x.shape[0]) or min(target.tolist()) < 0:
            raise ValueError(
                f"{name}: as many classes >= 0 as samples, and at least one, are needed; got "
                f"{target.shape[0]} classes, {x.shape[0]} samples"
            )
        classes = max(target.tolist()) + 1
        self.linear = nn.Linear(int(x.shape[1]), classes, device=x.device, dtype=x.dtype)
        nn.init.normal_(self.linear.weight, 0.0, 0.001, generator=self.generator)
        if self.linear.bias is not None:
            nn.init.zeros_(self.linear.bias)
        optimizer = optim.Adam(
            [
                {"params": [self.linear.weight], "weight_decay": self.weight_decay},
                {"params": [self.linear.bias]},
            ],
            lr=self.lr,
        )
        loader = DataLoader(
            TensorDataset(x, target), self.batch_size, shuffle=True, generator=self.generator
        )
        self.losses = []
        for _ in range(self.epochs):
            total = 0.0
            for inputs, labels in loader:
                optimizer.zero_grad()
                value = self.loss(self.linear(inputs), labels)
                value.backward()
                optimizer.step()
                total += value.item() * len(labels)
            self.losses.append(total / len(target))
        return self

    def forward(self, X: Any) -> Tensor:
        if self.linear is None:
            raise RuntimeError(f"{type(self).__name__}: call fit first")
        x = _samples(type(self).__name__, X)
        return self.linear(x.to(dtype=self.linear.weight.dtype, device=self.linear.weight.device))

    def decision_function(self, X: Any) -> Tensor:
        """The score of each class, (N, classes)."""
        with no_grad():
            return self(X)

    def predict(self, X: Any) -> Tensor:
        """The class of the highest score of each sample, (N,) int64."""
        scores = self.decision_function(X).tolist()
        return from_numpy(np.array([row.index(max(row)) for row in scores], np.int64))

    def score(self, X: Any, y: Any) -> float:
        """The share of samples whose class is right."""
        return _accuracy(self.predict(X), _tensor(type(self).__name__, "y", y))


class LinearSVM(_Linear):
    """The linear support vector machine for several classes.

    Formula: mean_i sum_{j != y_i} max(0, 1 - s_i[y_i] + s_i[j]) / classes + weight_decay |w|^2 / 2

    Args:
        epochs: Passes over the samples.
        lr: Learning rate of Adam.
        batch_size: Samples a step.
        weight_decay: Strength of the penalty on the squared weights.
        generator: Of the samples' order and the first weights; default: the default generator.

    Raises:
        ValueError: Options out of their range.

    Source: Weston, Watkins (1998), Multi-class support vector machines.
    """

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """The multi-class hinge loss."""
        return F.multi_margin_loss(scores, y)


class SoftmaxClassifier(_Linear):
    """Softmax (multinomial logistic) regression.

    Formula: mean_i -log softmax(s_i)[y_i] + weight_decay |w|^2 / 2

    Args:
        epochs: Passes over the samples.
        lr: Learning rate of Adam.
        batch_size: Samples a step.
        weight_decay: Strength of the penalty on the squared weights.
        generator: Of the samples' order and the first weights; default: the default generator.

    Raises:
        ValueError: Options out of their range.
    """

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Cross entropy."""
        return F.cross_entropy(scores, y)

    def predict_proba(self, X: Any) -> Tensor:
        """The probability of each class, (N, classes)."""
        return F.log_softmax(self.decision_function(X), dim=1).exp()
