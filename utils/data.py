"""Real data that ships with scikit-learn: split, scaled, seeded, no download."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to train on and rows to test on. Features are float32 of shape (rows, features).

    Targets are int64 of shape (rows,) for classes, and standardised float32 of shape (rows, 1) for a regression, where
    `classes` is None.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: tuple[str, ...] | None

    def __repr__(self) -> str:
        target = "a number" if self.classes is None else f"one of {len(self.classes)} classes"
        rows = f"{len(self.x_train)} train and {len(self.x_test)} test rows"
        return f"Dataset({self.name}: {rows} of {self.x_train.shape[1]} features; target: {target})"


def digits(*, test_size: float = 0.25, seed: int = 0) -> Dataset:
    """1797 handwritten digits, 8 × 8 pixels in 0…1, as rows of 64: which of ten is it?"""
    raw = _load("digits")
    train, test = _split(raw, test_size, seed, stratify=True)
    (x_train, y_train), (x_test, y_test) = train, test
    return Dataset("digits", x_train / 16, y_train, x_test / 16, y_test, _names(raw))


def breast_cancer(*, test_size: float = 0.25, seed: int = 0) -> Dataset:
    """569 tumours, 30 measurements each: malignant or benign?"""
    return _standardised_classes("breast_cancer", _load("breast_cancer"), test_size, seed)


def wine(*, test_size: float = 0.25, seed: int = 0) -> Dataset:
    """178 wines, 13 chemical measurements each: which of three growers?"""
    return _standardised_classes("wine", _load("wine"), test_size, seed)


def diabetes(*, test_size: float = 0.25, seed: int = 0) -> Dataset:
    """442 patients, 10 measurements each: how far does the disease progress in a year? A regression."""
    raw = _load("diabetes")
    (x_train, y_train), (x_test, y_test) = _split(raw, test_size, seed, stratify=False)
    x_train, x_test = _standardise(x_train, x_test)
    y_train, y_test = _standardise(y_train.unsqueeze(1), y_test.unsqueeze(1))
    return Dataset("diabetes", x_train, y_train, x_test, y_test, None)


def loaders(dataset: Dataset, *, batch_size: int = 32, seed: int = 0) -> tuple[DataLoader, DataLoader]:
    """A shuffled train loader and a test loader of one batch.

    The order of the batches depends on `seed` alone, not on the global random state, and is new in every epoch. Two
    runs see the same batches if each gets loaders of its own from the same seed. All batches are of the same size: the
    few rows left over at the end of an epoch sit it out, since a step on 3 rows is noisy enough to ruin a model.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset is a {type(dataset).__name__}: pass what digits(), wine(), … return")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: it counts rows, so use a whole number from 1 up")
    if batch_size > len(dataset.x_train):
        raise ValueError(f"batch_size is {batch_size}: {dataset.name} has only {len(dataset.x_train)} rows to train on")
    train = TensorDataset(dataset.x_train, dataset.y_train)
    test = TensorDataset(dataset.x_test, dataset.y_test)
    order = RandomSampler(train, generator=torch.Generator().manual_seed(_checked_seed(seed)))
    return _batches(train, order, batch_size), _batches(test, SequentialSampler(test), len(test))


def _batches(rows: TensorDataset, order, batch_size: int) -> DataLoader:
    # The sampler hands over the row numbers of a whole batch, and batch_size=None says so: the tensors are indexed once
    # per batch, not once per row. A DataLoader draws a seed every epoch: its own generator spares the global one.
    sampler = BatchSampler(order, batch_size, drop_last=True)
    return DataLoader(rows, sampler=sampler, batch_size=None, generator=torch.Generator().manual_seed(0))


def _standardised_classes(name: str, raw, test_size: float, seed: int) -> Dataset:
    (x_train, y_train), (x_test, y_test) = _split(raw, test_size, seed, stratify=True)
    x_train, x_test = _standardise(x_train, x_test)
    return Dataset(name, x_train, y_train, x_test, y_test, _names(raw))


def _standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Mean 0 and standard deviation 1 in the train part; the test part must not have a say."""
    std, mean = torch.std_mean(train, dim=0)
    return (train - mean) / std, (test - mean) / std


def _load(name: str):
    from sklearn import datasets  # takes a second, and most notebooks and labs need no rows

    return getattr(datasets, f"load_{name}")()


def _split(raw, test_size: float, seed: int, *, stratify: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(x, y) of the train rows and of the test rows; `stratify` gives both the same share of every class."""
    if isinstance(test_size, bool) or not isinstance(test_size, int | float) or not 0 < test_size < 1:
        raise ValueError(f"test_size is {test_size!r}: it is the share of rows to test on, so use 0.25 or the like")
    rows, needed = len(raw.data), len(set(raw.target)) if stratify else 2
    if min(test_size, 1 - test_size) * rows < needed:
        raise ValueError(
            f"test_size is {test_size!r}: both parts of the {rows} rows need {needed} or more, use 0.25 or the like"
        )
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(
        raw.data,
        raw.target,
        test_size=test_size,
        random_state=_checked_seed(seed),
        stratify=raw.target if stratify else None,
    )
    dtype = torch.int64 if stratify else torch.float32

    def tensors(x, y):
        return torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=dtype)

    return tensors(x_train, y_train), tensors(x_test, y_test)


def _names(raw) -> tuple[str, ...]:
    return tuple(str(name) for name in raw.target_names)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}: use a whole number from 0 to 2**32 - 1")
    return seed
