"""The loop against torch's own steps, what it records, what it refuses, and a progress bar that leaves no trace."""

import itertools
import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.optim import lr_scheduler

from utils import data, training
from utils.training import History, Progress, evaluate, train

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("one_thread")


def make_mlp(inputs=64, hidden=32, outputs=10, *, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def fixed_loaders(*, batches=4, rows=5, classes=3, seed=0):
    """Lists of batches are loaders too; the last batch is smaller, so a mean of batch means would be wrong."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [rows] * (batches - 1) + [2]
    train_loader = [
        (torch.randn(n, 4, generator=generator), torch.randint(classes, (n,), generator=generator)) for n in sizes
    ]
    return train_loader, train_loader[-2:]


OPTIMIZERS = {
    "sgd": partial(optim.SGD, lr=0.1),
    "momentum": partial(optim.SGD, lr=0.05, momentum=0.9),
    "adam": partial(optim.Adam, lr=0.02),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_train_is_the_textbook_loop_bit_for_bit(make):
    loaders = fixed_loaders()
    model = make_mlp(4, 5, 3)
    history = train(model, make(model.parameters()), loaders, 3)

    twin = make_mlp(4, 5, 3)
    optimizer = make(twin.parameters())
    losses, means, tests = [], [], []
    for _ in range(3):
        for x, y in loaders[0]:
            optimizer.zero_grad()
            loss = F.cross_entropy(twin(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(np.average(losses[-4:], weights=[5, 5, 5, 2]))
        x, y = (torch.cat(parts) for parts in zip(*loaders[1], strict=True))
        with torch.no_grad():
            tests.append((F.cross_entropy(twin(x), y).item(), (twin(x).argmax(1) == y).float().mean().item()))

    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    np.testing.assert_array_equal(history.batch_loss, losses)
    np.testing.assert_allclose(history.train_loss, means, rtol=1e-12)
    np.testing.assert_allclose(np.stack([history.test_loss, history.test_accuracy], 1), tests, rtol=1e-5)
    assert history.diverged_at is None and history.label == type(optimizer).__name__
    assert model.training


@pytest.mark.parametrize("make", [partial(optim.SGD, lr=0.1, momentum=0.9), partial(optim.Adam, lr=0.01)])
def test_an_mlp_reaches_96_percent_on_digits(make):
    model = make_mlp(seed=1)
    history = train(model, make(model.parameters()), data.loaders(data.digits()), 15, label="mlp")
    assert history.test_accuracy[-1] >= 0.96
    assert history.label == "mlp" and "mlp: 15 epochs, 630 steps" in repr(history)


def test_a_regression_takes_the_squared_error_and_has_no_accuracy():
    dataset = data.diabetes()
    model = nn.Linear(10, 1)
    history = train(model, optim.SGD(model.parameters(), lr=0.01), data.loaders(dataset), 5)
    with torch.no_grad():
        expected = (model(dataset.x_test) - dataset.y_test).square().mean().item()
    assert history.test_loss[-1] == pytest.approx(expected, rel=1e-5)
    assert history.test_loss[-1] < 0.7  # 1 is the loss of the constant answer 0
    assert np.isnan(history.test_accuracy).all()


def test_a_loss_of_ones_own_is_used_for_training_and_for_testing():
    loaders = fixed_loaders()
    model = make_mlp(4, 5, 3)
    plain = evaluate(model, loaders[1])[0]
    assert evaluate(model, loaders[1], loss_fn=lambda p, y: 2 * F.cross_entropy(p, y))[0] == pytest.approx(2 * plain)
    history = train(
        model, optim.SGD(model.parameters(), lr=0.0), loaders, 1, loss_fn=lambda p, y: 2 * F.cross_entropy(p, y)
    )
    assert history.test_loss[0] == pytest.approx(2 * plain)
    assert history.batch_loss[-1] == pytest.approx(
        2 * F.cross_entropy(model(loaders[0][-1][0]), loaders[0][-1][1]).item()
    )


def test_the_step_of_divergence_is_told_and_what_follows_is_nan():
    loaders = fixed_loaders()
    model = nn.Linear(4, 3)
    before = model.weight.detach().clone()
    calls = iter([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, math.inf, 1.0])  # four batches, two tests, then the second batch
    history = train(
        model,
        optim.SGD(model.parameters(), lr=0.1),
        loaders,
        3,
        loss_fn=lambda p, y: next(calls) * F.cross_entropy(p, y),
    )
    assert history.diverged_at == 5
    assert np.isfinite(history.batch_loss[:5]).all() and history.batch_loss[5] == math.inf
    assert np.isnan(history.batch_loss[6:]).all() and len(history.batch_loss) == 12
    assert (history.lr[:6] == 0.1).all() and np.isnan(history.lr[6:]).all()
    for per_epoch in (history.train_loss, history.test_loss, history.test_accuracy):
        assert np.isfinite(per_epoch[0]) and np.isnan(per_epoch[1:]).all() and len(per_epoch) == 3
    assert model.weight.isfinite().all() and not torch.equal(model.weight, before)
    assert "diverged at step 5" in repr(history)


def test_a_real_divergence_ends_quietly():
    dataset = data.diabetes()
    model = nn.Linear(10, 1)
    history = train(model, optim.SGD(model.parameters(), lr=10.0), data.loaders(dataset), 30)
    assert history.diverged_at is not None
    assert np.isfinite(history.batch_loss[: history.diverged_at]).all()


def test_lr_is_the_one_that_the_step_used_per_epoch_and_per_iteration():
    def lrs(per, epochs=3):
        model = make_mlp(4, 5, 3)
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        return train(model, optimizer, fixed_loaders(), epochs, scheduler=scheduler, per=per).lr

    np.testing.assert_allclose(lrs("epoch"), np.repeat([1, 0.5, 0.25], 4))
    np.testing.assert_allclose(lrs("iteration"), 0.5 ** np.arange(12))


def test_the_lr_may_be_a_tensor():
    model = make_mlp(4, 5, 3)
    history = train(model, optim.SGD(model.parameters(), lr=torch.tensor(0.25)), fixed_loaders(), 1)
    np.testing.assert_array_equal(history.lr, [0.25] * 4)


def test_plateau_is_given_the_test_loss():
    model = make_mlp(4, 5, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    history = train(model, optimizer, fixed_loaders(), 2, scheduler=scheduler)
    assert scheduler.best == history.test_loss[0] and scheduler.num_bad_epochs == 0 and scheduler.last_epoch == 2


def test_lbfgs_is_given_its_closure_and_matches_torch():
    dataset = data.diabetes()
    loaders = data.loaders(dataset, batch_size=len(dataset.x_train))
    make = partial(optim.LBFGS, lr=1.0, max_iter=10)
    torch.manual_seed(0)
    model = nn.Linear(10, 1)
    twin = nn.Linear(10, 1)
    twin.load_state_dict(model.state_dict())
    history = train(model, make(model.parameters()), loaders, 2)

    optimizer = make(twin.parameters())
    first = []
    for (x, y), _ in zip([*data.loaders(dataset, batch_size=len(dataset.x_train))[0]] * 2, range(2), strict=True):

        def closure():
            optimizer.zero_grad()
            loss = F.mse_loss(twin(x), y)  # noqa: B023 - called before x changes
            loss.backward()
            return loss

        first.append(optimizer.step(closure).item())
    np.testing.assert_allclose(history.batch_loss, first, rtol=1e-4)
    torch.testing.assert_close(model.weight, twin.weight, rtol=1e-3, atol=1e-4)


class Plain(optim.Optimizer):
    """Gradient descent whose `step` takes no closure at all."""

    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p -= 0.1 * p.grad


def test_an_optimizer_without_closure_and_without_lr_trains_too():
    model, twin = make_mlp(4, 5, 3), make_mlp(4, 5, 3)
    history = train(model, Plain(model.parameters()), fixed_loaders(), 2)
    train(twin, optim.SGD(twin.parameters(), lr=0.1), fixed_loaders(), 2)
    assert np.isnan(history.lr).all()
    torch.testing.assert_close(model[0].weight, twin[0].weight)


def test_evaluate_turns_dropout_and_gradients_off_and_puts_every_mode_back():
    model = nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.5), nn.Linear(50, 3))
    seen = []
    model.register_forward_hook(lambda module, _, out: seen.append((module.training, out.requires_grad)))
    model.train()
    model[1].eval()  # a frozen part stays frozen
    loader = fixed_loaders()[1]
    before = torch.get_rng_state()
    assert evaluate(model, loader) == evaluate(model, loader)
    assert torch.equal(before, torch.get_rng_state())
    assert seen == [(False, False)] * 4
    assert [m.training for m in model] == [True, False, True] and model.training
    assert torch.is_grad_enabled()
    with pytest.raises(RuntimeError):
        evaluate(model, [(torch.zeros(2, 99), torch.zeros(2, dtype=torch.long))])
    assert [m.training for m in model] == [True, False, True]


def test_evaluate_weighs_batches_by_their_rows():
    x, y = torch.eye(3), torch.tensor([0, 1, 0])
    loss, accuracy = evaluate(nn.Identity(), [(x[:2], y[:2]), (x[2:], y[2:])])
    assert accuracy == pytest.approx(2 / 3)
    assert loss == pytest.approx(F.cross_entropy(x, y).item())


def refusals():
    model, other = make_mlp(4, 5, 3), make_mlp(4, 5, 3)
    sgd = optim.SGD(model.parameters(), lr=0.1)
    strange = optim.SGD(other.parameters(), lr=0.1)
    return {
        "other model": ((model, strange), {}, "optimizer built on another model"),
        "other optimizer": (
            (model, sgd),
            {"scheduler": lr_scheduler.StepLR(strange, 1)},
            "scheduler built on another optimizer",
        ),
        "a class": ((model, sgd), {"scheduler": lr_scheduler.StepLR}, "scheduler built on another optimizer"),
        "plateau": (
            (model, sgd),
            {"scheduler": lr_scheduler.ReduceLROnPlateau(sgd), "per": "iteration"},
            "ReduceLROnPlateau.*per='epoch'",
        ),
        "per": ((model, sgd), {"per": "batch"}, "per is 'batch'"),
        "no epochs": ((model, sgd), {"epochs": 0}, "epochs is 0"),
        "half an epoch": ((model, sgd), {"epochs": 0.5}, "epochs is 0.5"),
    }


@pytest.mark.parametrize("name", refusals())
def test_mistakes_that_would_train_nothing_are_refused(name):
    (model, optimizer), options, message = refusals()[name]
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=message):
        train(model, optimizer, fixed_loaders(), **{"epochs": 1, **options})
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


class Stream(torch.utils.data.IterableDataset):
    """Rows without an end known beforehand; `claimed` is the length that it says, if any."""

    def __init__(self, rows, claimed):
        self.rows, self.claimed = rows, claimed

    def __iter__(self):
        for row in range(self.rows):
            yield torch.full((4,), float(row)), row % 3

    def __len__(self):
        if self.claimed is None:
            raise TypeError("unknown")
        return self.claimed


def streamed(rows, claimed):
    return torch.utils.data.DataLoader(Stream(rows, claimed), batch_size=2)


@pytest.mark.filterwarnings("ignore:Length of IterableDataset")
@pytest.mark.parametrize("claimed", [2, 6, 40])
def test_what_counts_are_the_batches_that_come(claimed):
    model, twin = make_mlp(4, 5, 3), make_mlp(4, 5, 3)
    loader = streamed(6, claimed)
    history = train(model, optim.SGD(model.parameters(), lr=0.01), (loader, loader), 2)
    listed = [(x, y) for x, y in streamed(6, 6)]
    expected = train(twin, optim.SGD(twin.parameters(), lr=0.01), (listed, listed), 2)
    assert np.array_equal(history.batch_loss, expected.batch_loss) and history.lr.shape == (6,)
    assert np.array_equal(history.test_loss, expected.test_loss) and np.isfinite(history.train_loss).all()


@pytest.mark.parametrize(
    ("loaders", "epochs", "words"),
    [
        (([], None), 1, "the training loader has no batch"),
        ((None, []), 1, "the test loader has no batch"),
        ((torch.utils.data.DataLoader([1], batch_size=2, drop_last=True), None), 1, "the training loader has no batch"),
        ((streamed(6, None), None), 1, "the training loader has no length"),
        ((streamed(0, 6), None), 1, "the training loader gave no batch in epoch 1"),
        ((None, iter([])), 2, "the test loader can be gone through only once, and there are 2 epochs"),
    ],
)
def test_a_loader_without_batches_fails_before_anything_is_spent(loaders, epochs, words):
    good = fixed_loaders()
    model = make_mlp(4, 5, 3)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=words):
        train(
            model,
            optimizer,
            [one if one is not None else fine for one, fine in zip(loaders, good, strict=True)],
            epochs,
        )
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with pytest.raises(ValueError, match="no batch to evaluate on"):
        evaluate(model, iter([]))


def test_an_lr_of_none_is_no_number():
    class Relative(Plain):
        def __init__(self, params):
            super().__init__([{"params": list(params), "lr": None}])

    model = make_mlp(4, 5, 3)
    history = train(model, Relative(model.parameters()), fixed_loaders(), 1)
    assert np.isnan(history.lr).all() and np.isfinite(history.batch_loss).all()


def test_a_head_that_was_replaced_afterwards_is_told():
    model = make_mlp(4, 5, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model[2] = nn.Linear(5, 3)
    with pytest.raises(
        ValueError, match=r"before a part of the model was replaced: it does not hold `2.weight`, `2.bias`"
    ):
        train(model, optimizer, fixed_loaders(), 1)


@pytest.mark.filterwarnings("error")
def test_a_part_that_no_optimizer_holds_is_told_unless_it_is_frozen():
    model = make_mlp(4, 5, 3)
    optimizer = optim.SGD(model[2].parameters(), lr=0.1)
    with pytest.raises(UserWarning, match=r"does not hold `0.weight`, `0.bias`, which will stay as they are"):
        train(model, optimizer, fixed_loaders(), 1)
    model[0].requires_grad_(False)
    train(model, optimizer, fixed_loaders(), 1)


class ScheduleFree(optim.Optimizer):
    """Gradients at y, judged at the average x of the points z, as schedule-free SGD does (Defazio, 2024)."""

    def __init__(self, params, lr=0.5, beta=0.9):
        super().__init__(params, {"lr": lr})
        self.beta, self.k, self.mode = beta, 0, None
        for p in self.param_groups[0]["params"]:
            self.state[p] = {"z": p.detach().clone(), "x": p.detach().clone()}

    @torch.no_grad()
    def _to(self, mode):
        for p in self.param_groups[0]["params"]:
            x, z = self.state[p]["x"], self.state[p]["z"]
            p.copy_(x if mode == "eval" else z.lerp(x, self.beta))
        self.mode = mode

    def train(self):
        self._to("train")

    def eval(self):
        self._to("eval")

    @torch.no_grad()
    def step(self, closure=None):
        assert self.mode == "train", "not in train mode when the step is taken"
        self.k += 1
        for p in self.param_groups[0]["params"]:
            x, z = self.state[p]["x"], self.state[p]["z"]
            z.sub_(p.grad, alpha=self.param_groups[0]["lr"])
            x.lerp_(z, 1 / self.k)
            p.copy_(z.lerp(x, self.beta))


def test_a_schedule_free_optimizer_is_judged_where_it_is_evaluated():
    loaders = fixed_loaders()
    model, twin = make_mlp(4, 5, 3), make_mlp(4, 5, 3)
    optimizer = ScheduleFree(model.parameters())
    history = train(model, optimizer, loaders, 2)
    assert optimizer.mode == "eval" and evaluate(model, loaders[1])[0] == history.test_loss[-1]
    other = ScheduleFree(twin.parameters())
    for epoch in range(2):
        other.train()
        for x, y in loaders[0]:
            other.zero_grad()
            F.cross_entropy(twin(x), y).backward()
            other.step()
        at_train = evaluate(twin, loaders[1])[0]
        other.eval()
        assert history.test_loss[epoch] == evaluate(twin, loaders[1])[0] != at_train


def test_an_interrupted_model_keeps_what_it_learned():
    model = make_mlp(4, 5, 3)
    before = model[0].weight.detach().clone()

    def batches():
        yield from fixed_loaders()[0][:2]
        raise KeyboardInterrupt

    class Interrupted:
        __len__ = lambda self: 4  # noqa: E731
        __iter__ = lambda self: batches()  # noqa: E731

    with pytest.raises(KeyboardInterrupt):
        train(model, optim.SGD(model.parameters(), lr=0.1), (Interrupted(), fixed_loaders()[1]), 1)
    assert not torch.equal(before, model[0].weight)


# --- the progress bar ---------------------------------------------------------------------------------------------


class Terminal:
    """A stderr that remembers what was written."""

    def __init__(self, *, tty=True):
        self.tty, self.text = tty, ""

    def isatty(self):
        return self.tty

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def screen(self):
        """What a reader sees on the line."""
        line = ""
        for part in self.text.split("\r"):
            line = part + line[len(part) :]
        return line


def open_terminal(monkeypatch, *, tty=True):
    """Called by the test itself: pytest puts its own stderr back between a fixture and the test."""
    terminal = Terminal(tty=tty)
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_the_bar_waits_two_seconds_then_draws_four_times_a_second_and_is_erased(monkeypatch):
    terminal = open_terminal(monkeypatch)
    now = [0.0]
    drawn = []
    with Progress(100, "Adam", clock=lambda: now[0]) as bar:
        for step in range(100):
            now[0] = step * 0.05
            before = terminal.text
            bar.update(step, f"loss {step}")
            if terminal.text != before:
                drawn.append(now[0])
        assert terminal.screen().startswith(" 95% Adam: loss 95")
    assert drawn[0] == pytest.approx(2.0) and len(drawn) == 12
    assert all(later - earlier > 0.249 for earlier, later in itertools.pairwise(drawn))
    assert terminal.screen().strip() == "" and terminal.text.endswith("\r") and "\n" not in terminal.text


def test_a_shorter_text_leaves_nothing_of_a_longer_one(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with Progress(2, "x", delay=0, interval=0) as bar:
        bar.update(1, "a long text")
        bar.update(2, "short")
        assert terminal.screen().rstrip() == "100% x: short"


def test_a_short_run_draws_nothing(monkeypatch):
    terminal = open_terminal(monkeypatch)
    model = make_mlp(4, 5, 3)
    train(model, optim.SGD(model.parameters(), lr=0.1), fixed_loaders(), 2)
    assert terminal.text == ""


def test_train_tells_the_bar_where_it_is(monkeypatch):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(training, "Progress", partial(Progress, delay=0, interval=0))
    model = make_mlp(4, 5, 3)
    history = train(model, optim.SGD(model.parameters(), lr=0.1), fixed_loaders(), 2, label="run")
    lines = [line.strip() for line in terminal.text.split("\r") if line.strip()]
    assert len(lines) == 8 and lines[0] == f"12% run: epoch 1 of 2, loss {history.batch_loss[0]:.3g}"
    assert lines[-1] == f"100% run: epoch 2 of 2, loss {history.batch_loss[-1]:.3g}"
    train(model, optim.SGD(model.parameters(), lr=0.1), fixed_loaders(), 2, progress=False)
    assert len([line for line in terminal.text.split("\r") if line.strip()]) == 8


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_bar_is_erased_when_the_run_breaks(monkeypatch, error):
    terminal = open_terminal(monkeypatch)
    with pytest.raises(error), Progress(3, "run", delay=0) as bar:
        bar.update(1, "loss 1")
        assert "run: loss 1" in terminal.screen()
        raise error
    assert terminal.screen().strip() == ""


def test_neither_a_pipe_nor_a_refusal_is_written_to(monkeypatch):
    for tty, show in [(False, True), (True, False)]:
        stream = open_terminal(monkeypatch, tty=tty)
        with Progress(3, "run", show=show, delay=0) as bar:
            bar.update(1, "loss 1")
        assert stream.text == ""


CELLS = [
    """
from utils.training import Progress

with Progress(3, "<run>", delay=0, interval=0) as bar:
    for step in range(3):
        bar.update(step, f"loss {step}")
print("after the bar")
""",
    """
for label in ("first", "second"):
    with Progress(2, label, delay=0) as bar:
        bar.update(1, "loss 1")
label
""",
    """
try:
    with Progress(3, "run", delay=0) as bar:
        bar.update(1, "loss 1")
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("interrupted")
""",
]


class Listener(nbclient.NotebookClient):
    """Runs a notebook and keeps the contents of the updates, which the outputs forget."""

    updates: list

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "update_display_data":
            self.updates.append((cell_index, msg["content"]["data"]))
        return super().process_message(msg, cell, cell_index)


def test_in_a_kernel_the_bar_moves_and_its_stored_output_is_empty(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS])
    client = Listener(notebook, timeout=60, kernel_name="python3")
    client.updates = []
    client.execute()

    of_first = [bundle for cell, bundle in client.updates if cell == 0]
    assert [b.get("text/plain") for b in of_first] == ["<run>: loss 0", "<run>: loss 1", "<run>: loss 2", None]
    assert 'value="2"' in of_first[2]["text/html"] and "&lt;run&gt;: loss 2" in of_first[2]["text/html"]
    for index, cell in enumerate(notebook.cells):
        assert [b for i, b in client.updates if i == index][-1] == {}
        displays = [output for output in cell.outputs if output.output_type == "display_data"]
        assert [output.data for output in displays] == [{}] * (2 if index == 1 else 1)
    texts = [[o.get("text") or o.data["text/plain"] for o in c.outputs if o.get("data") != {}] for c in notebook.cells]
    assert texts == [["after the bar\n"], ["'second'"], ["interrupted\n"]]

    # Strict nbval must accept the notebook with its empty outputs and without them: here the second cell lost its own.
    notebook.cells[1].outputs = [output for output in notebook.cells[1].outputs if output.get("data") != {}]
    nbformat.write(notebook, tmp_path / "stored.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_history_cannot_be_reassigned():
    history = History("a", *[np.zeros(1)] * 5)
    with pytest.raises(AttributeError):
        history.label = "b"
