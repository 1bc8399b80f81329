"""The data: its shapes, its scaling, its split and the order of its batches."""

import pytest
import torch
from sklearn import datasets as sklearn_datasets

from utils import data

SHAPES = {"digits": (1797, 64, 10), "breast_cancer": (569, 30, 2), "wine": (178, 13, 3)}
ALL = [*SHAPES, "diabetes"]


def tensors(dataset):
    return dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test


@pytest.mark.parametrize("name", SHAPES)
def test_classes_have_the_shapes_dtypes_and_names_of_the_raw_data(name):
    rows, features, classes = SHAPES[name]
    dataset = getattr(data, name)()
    raw = getattr(sklearn_datasets, f"load_{name}")()
    assert dataset.name == name
    assert len(dataset.x_train) + len(dataset.x_test) == rows
    assert dataset.x_train.shape[1] == dataset.x_test.shape[1] == features
    assert dataset.y_train.shape == (len(dataset.x_train),) and dataset.y_test.shape == (len(dataset.x_test),)
    assert [t.dtype for t in tensors(dataset)] == [torch.float32, torch.int64] * 2
    assert dataset.classes == tuple(map(str, raw.target_names)) and len(dataset.classes) == classes


def test_diabetes_is_a_regression_with_a_standardised_column_as_target():
    dataset = data.diabetes()
    assert dataset.classes is None
    assert [t.dtype for t in tensors(dataset)] == [torch.float32] * 4
    assert dataset.y_train.shape == (len(dataset.x_train), 1) and dataset.y_test.shape == (len(dataset.x_test), 1)
    torch.testing.assert_close(dataset.y_train.mean(0), torch.zeros(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(dataset.y_train.std(0), torch.ones(1))


def test_digits_are_pixels_over_16():
    dataset = data.digits()
    raw = torch.tensor(sklearn_datasets.load_digits().data, dtype=torch.float32)
    ours = torch.cat([dataset.x_train, dataset.x_test]) * 16
    torch.testing.assert_close(ours.sum(0), raw.sum(0))  # the same rows, in another order
    assert ours.min() == 0 and ours.max() == 16


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_features_are_standardised_with_the_train_rows_alone(name):
    dataset = getattr(data, name)()
    features = dataset.x_train.shape[1]
    torch.testing.assert_close(dataset.x_train.mean(0), torch.zeros(features), atol=1e-5, rtol=0)
    torch.testing.assert_close(dataset.x_train.std(0), torch.ones(features))
    # Had the test rows taken part, they would be centred too.
    assert (dataset.x_test.mean(0).abs() > 1e-3).any()
    everything = torch.cat([dataset.x_train, dataset.x_test])
    assert (everything.mean(0).abs() > 1e-3).any()


@pytest.mark.parametrize("name", SHAPES)
def test_the_split_keeps_the_share_of_every_class(name):
    dataset = getattr(data, name)()
    train = torch.bincount(dataset.y_train) / len(dataset.y_train)
    test = torch.bincount(dataset.y_test) / len(dataset.y_test)
    torch.testing.assert_close(train, test, atol=1.5 / len(dataset.y_test), rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_the_seed_and_nothing_else_decides_the_split(name):
    load = getattr(data, name)
    first = load(seed=3)
    torch.rand(7)
    assert all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(load(seed=3)), strict=True))
    assert not torch.equal(first.x_train, load(seed=4).x_train)
    assert len(load(test_size=0.5).x_test) == pytest.approx(0.5 * (len(first.x_train) + len(first.x_test)), abs=1)


def batches(loader):
    return [(x, y) for x, y in loader]


def test_an_epoch_holds_rows_once_in_batches_of_the_asked_size_and_leaves_the_rest_out():
    dataset = data.wine()
    train, test = data.loaders(dataset, batch_size=32)
    expected = torch.cat([dataset.x_train, dataset.y_train.unsqueeze(1).float()], 1)
    left_out = []
    for _ in range(2):
        epoch = batches(train)
        assert len(train) == len(epoch) == 4 and [len(x) for x, _ in epoch] == [32] * 4
        rows = set(map(tuple, torch.cat([torch.cat([x, y.unsqueeze(1).float()], 1) for x, y in epoch]).tolist()))
        assert len(rows) == 128 and rows < set(map(tuple, expected.tolist()))
        left_out.append(set(map(tuple, expected.tolist())) - rows)
    assert left_out[0] != left_out[1]  # others sit out in the next epoch
    ((x, y),) = batches(test)
    assert len(test) == 1 and torch.equal(x, dataset.x_test) and torch.equal(y, dataset.y_test)


def test_a_full_batch_holds_every_row_and_a_larger_one_is_refused():
    dataset = data.wine()
    ((x, y),) = batches(data.loaders(dataset, batch_size=133)[0])
    assert not torch.equal(x, dataset.x_train)
    torch.testing.assert_close(x.sum(0), dataset.x_train.sum(0))
    assert torch.equal(y.bincount(), dataset.y_train.bincount())
    with pytest.raises(ValueError, match="only 133 rows to train on"):
        data.loaders(dataset, batch_size=134)


def test_the_order_of_the_batches_is_the_seeds_and_leaves_the_global_random_state_alone():
    dataset = data.wine()

    def two_epochs(seed):
        train, test = data.loaders(dataset, seed=seed)
        batches(test)
        return [y for _ in range(2) for _, y in train]

    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = two_epochs(1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    again, other = two_epochs(1), two_epochs(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first[:5], first[5:], strict=True))  # reshuffled every epoch


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("test_size", [0, 1, 1.5, -0.1, "a quarter", None, True, float("nan"), 0.001, 0.999])
def test_a_bad_test_size_is_told_what_to_use(name, test_size):
    with pytest.raises(ValueError, match=r"test_size.*use 0\.25"):
        getattr(data, name)(test_size=test_size)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None, True])
def test_a_bad_seed_is_told_what_to_use(seed):
    with pytest.raises(ValueError, match=r"seed.*whole number"):
        data.wine(seed=seed)
    with pytest.raises(ValueError, match=r"seed.*whole number"):
        data.loaders(data.wine(), seed=seed)


@pytest.mark.parametrize("batch_size", [0, -4, 2.0, None, True])
def test_a_bad_batch_size_is_told_what_to_use(batch_size):
    with pytest.raises(ValueError, match=r"batch_size.*whole number"):
        data.loaders(data.wine(), batch_size=batch_size)


def test_loaders_of_something_else_say_what_to_pass():
    with pytest.raises(TypeError, match="tuple: pass what digits"):
        data.loaders((torch.zeros(3), torch.zeros(3)))


def test_the_repr_is_one_line_without_tensors():
    assert repr(data.wine()) == "Dataset(wine: 133 train and 45 test rows of 13 features; target: one of 3 classes)"
    assert repr(data.diabetes()).endswith("10 features; target: a number)")
