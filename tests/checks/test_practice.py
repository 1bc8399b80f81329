"""The checks of notebook 05a: groups of parameters, and accumulated gradients."""

import pytest
from torch import nn
from torch.nn import functional as F

from tests.support.answers import changed
from utils.checks.practice import check_accumulate, check_groups

# ---- groups


def by_axes(model, weight_decay):
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def by_name(model, weight_decay):  # the short cut: a norm's scale is a `weight` too
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    others = [p for name, p in model.named_parameters() if name.endswith("bias")]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def by_module(model, weight_decay):  # tied weights come twice
    decayed = [m.weight for m in model if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding)]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def test_right_groups_pass():
    assert check_groups(by_axes)
    assert check_groups(lambda m, d: [{"params": [p], "weight_decay": d * (p.ndim > 1)} for p in m.parameters()])
    assert check_groups(lambda m, d: [{"params": [p], "weight_decay": d * (p.ndim != 1)} for p in m.parameters()])


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (by_name, "`1.weight` of BatchNorm2d has weight decay 0.3. Its name ends in `weight`, but it is the scale"),
        (by_module, "In a model with tied weights `0.weight` is in the groups twice"),
        (changed(by_axes, "weight_decay}, {", "0.0}, {"), "`0.weight`, of shape (4, 1, 3, 3), has weight decay 0.0"),
        (changed(by_axes, '"weight_decay": 0.0', '"lr": 0.1'), "gets the optimizer's default"),
        (changed(by_axes, "others = [p for p", "others = [p for p in () for p"), "`1.weight` is in no group"),
        (changed(by_axes, "ndim <= 1", "ndim == 1"), "In a model with a temperature `temperature` is in no group"),
        (lambda m, d: [{"params": list(m.parameters()), "weight_decay": d}], "BatchNorm2d has weight decay 0.3"),
        (lambda m, d: [{"params": list(m.named_parameters()), "weight_decay": d}], "pairs (name, parameter)"),
        (lambda m, d: list(m.parameters()), "A list of groups is asked for"),
        (lambda m, d: None, "returned None"),
    ],
)
def test_wrong_groups_are_told_why(groups, words):
    verdict = check_groups(groups)
    assert not verdict and words in verdict.message, verdict.message


def test_of_several_parameters_in_no_group_the_first_is_told_and_the_others_follow():
    verdict = check_groups(changed(by_axes, "others = [p for p", "others = [p for p in () for p"))
    assert verdict.message.startswith("In a conv net `1.weight` is in no group")
    assert [other.split("`")[1] for other in verdict.others] == ["1.bias", "4.bias"]


# ---- accumulation


def accumulate(model, optimizer, pieces):
    rows = sum(len(y) for _, y in pieces)
    optimizer.zero_grad()
    for x, y in pieces:
        loss = F.cross_entropy(model(x), y) * len(y) / rows
        loss.backward()
    optimizer.step()


def test_right_accumulation_passes():
    assert check_accumulate(accumulate)
    assert check_accumulate(changed(accumulate, "model(x), y) *", "model(x), y, reduction='sum') / len(y) *"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (" * len(y) / rows", "", "as many times too large"),
        (" * len(y) / rows", " / len(pieces)", "Each piece counts the same"),
        ("        loss.backward()", "        optimizer.zero_grad()\n        loss.backward()", "step is not that"),
        (" * len(y) / rows\n", "\n        optimizer.zero_grad()\n", "Only the last piece counts"),
        (
            " * len(y) / rows\n        loss.backward()\n    ",
            "\n        loss.backward()\n        ",
            "all gradients so far",
        ),
        ("    optimizer.zero_grad()\n", "", "an earlier step"),
        (" * len(y) / rows\n        loss.backward()\n", "\n    loss.backward()\n", "or `backward()` after it"),
        (
            "    optimizer.step()\n",
            "    optimizer.zero_grad()\n    optimizer.step()\n",
            "`zero_grad()` not just before",
        ),
        ("    optimizer.step()\n", "", "the model is as it was"),
        ("loss.backward()", "loss.item()", "the model is as it was"),
        ("rows = sum", "rows = 2 * sum", "differ by up to"),
        ("rows = sum(", "raise RuntimeError('ouch')  # (", "RuntimeError: ouch"),
    ],
)
def test_wrong_accumulation_is_told_why(old, new, words):
    verdict = check_accumulate(changed(accumulate, old, new))
    assert not verdict and words in verdict.message, verdict.message


def test_a_mistake_is_named_only_if_it_explains_the_pieces_before_as_well():
    """Right for pieces of one size: weights that are wrong for others alone are not those of a known mistake."""

    def at_times(model, optimizer, pieces):
        equal = len({len(y) for _, y in pieces}) == 1
        (accumulate if equal else changed(accumulate, " * len(y) / rows", ""))(model, optimizer, pieces)

    assert "with pieces of 12, 12, 8 rows the step is not that of the large batch: parameters differ" in (
        check_accumulate(at_times).message.lower()
    )


def test_a_step_per_piece_is_told():
    def small_steps(model, optimizer, pieces):
        for x, y in pieces:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    assert "small batches, one after the other" in check_accumulate(small_steps).message


def test_stubs_are_not_yet():
    def stub(model, batches): ...

    for verdict in (check_groups(stub), check_accumulate(stub)):
        assert verdict.untouched and verdict.message.startswith("Not yet"), verdict
