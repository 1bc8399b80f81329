"""A run that was killed goes on bit for bit; a file that is damaged or of another run changes nothing at all."""

import copy
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.optim import lr_scheduler

from utils.internals.snapshots import same
from utils.practice import checkpoint
from utils.practice.checkpoint import Batches, CheckpointError, restore, save

STEPS = 24
X = torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (50,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def as_it_was():
    """One thread, which is fastest here; and the other tests get the global generators back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    yield
    torch.set_rng_state(before[0])
    random.setstate(before[1])
    np.random.set_state(before[2])
    torch.set_num_threads(threads)


def network(width=6):
    layers = [nn.Conv2d(1, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.3), nn.Linear(4 * width, 3))


ADAMW = partial(optim.AdamW, lr=0.01)
ONE_CYCLE = partial(lr_scheduler.OneCycleLR, max_lr=0.02, total_steps=STEPS)


def new_run(
    make_optimizer=ADAMW,
    make_scheduler=ONE_CYCLE,
    *,
    seed=0,
    width=6,
    batch_size=8,
) -> dict:
    for set_seed in (torch.manual_seed, random.seed, np.random.seed):
        set_seed(seed)
    model = network(width)
    optimizer = make_optimizer(model.parameters())
    batches = Batches(len(X), batch_size, seed=seed)
    return {"model": model, "optimizer": optimizer, "scheduler": make_scheduler(optimizer), "batches": batches}


def train(run: dict, first: int, last: int) -> list[float]:
    losses = []
    for _ in range(first, last):
        rows = next(run["batches"])
        noise = torch.randn(len(rows), 1, 1, 1) * random.random() * np.random.rand()  # all three generators
        loss = F.cross_entropy(run["model"](X[rows] + noise), Y[rows])
        run["optimizer"].zero_grad()
        loss.backward()
        run["optimizer"].step()
        if isinstance(run["scheduler"], lr_scheduler.ReduceLROnPlateau):
            run["scheduler"].step(loss.item())
        else:
            run["scheduler"].step()
        losses.append(loss.item())
    return losses


def state(run: dict) -> dict:
    """All that a checkpoint must not touch when it fails, the global generators included."""
    parts = {name: copy.deepcopy(part.state_dict()) for name, part in run.items()}
    return parts | {"random": [torch.get_rng_state(), list(random.getstate()), list(np.random.get_state())]}


def warm_then_cosine(optimizer):
    parts = [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5), lr_scheduler.CosineAnnealingLR(optimizer, 19)]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[5])


@pytest.mark.parametrize(
    "make_optimizer",
    [
        partial(optim.SGD, lr=0.05, momentum=0.9),
        partial(optim.AdamW, lr=0.01),
        partial(optim.Adam, lr=0.01, amsgrad=True, fused=True),
        partial(optim.RMSprop, lr=0.003, momentum=0.5),
    ],
    ids=["SGD", "AdamW", "Adam fused", "RMSprop"],
)
@pytest.mark.parametrize(
    "make_scheduler",
    [
        partial(lr_scheduler.OneCycleLR, max_lr=0.02, total_steps=STEPS, cycle_momentum=False),
        warm_then_cosine,
        partial(lr_scheduler.ReduceLROnPlateau, patience=1),
    ],
    ids=["OneCycle", "warm-up and cosine", "plateau"],
)
@pytest.mark.parametrize("killed_at", [1, 5, 6, 17])  # 50 rows in batches of 8: a pass ends after 6 steps
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, make_optimizer, make_scheduler, killed_at):
    through = new_run(make_optimizer, make_scheduler)
    losses = train(through, 0, STEPS)

    killed = new_run(make_optimizer, make_scheduler)
    before = train(killed, 0, killed_at)
    save(tmp_path / "run.pt", killed, step=killed_at, notes={"losses": before})
    resumed = new_run(make_optimizer, make_scheduler, seed=9)  # nothing can come from the same seed
    step, notes = restore(tmp_path / "run.pt", resumed)
    assert step == killed_at
    assert notes["losses"] + train(resumed, step, STEPS) == losses
    assert same(state(through), state(resumed))


def test_what_was_saved_is_not_shared_with_the_run(tmp_path):
    run = new_run()
    train(run, 0, 3)
    save(tmp_path / "run.pt", run, step=3)
    at_three = state(run)
    train(run, 3, 6)
    restore(tmp_path / "run.pt", run)
    assert same(at_three, state(run))
    train(run, 3, 6)
    restore(tmp_path / "run.pt", run)  # twice from one file
    assert same(at_three, state(run))


def test_a_generator_is_a_part(tmp_path):
    generator = torch.Generator().manual_seed(5)
    save(tmp_path / "g.pt", {"noise": generator}, step=0)
    expected = torch.rand(3, generator=generator)
    other = torch.Generator()
    restore(tmp_path / "g.pt", {"noise": other})
    assert torch.equal(torch.rand(3, generator=other), expected)


def test_torch_alone_reads_the_file(tmp_path):
    run = new_run()
    save(tmp_path / "run.pt", run, step=0)
    content = torch.load(tmp_path / "run.pt", weights_only=True)
    assert same(dict(run["model"].state_dict()), dict(content["parts"]["model"]))


# ---- files that must not be restored


@pytest.fixture
def saved(tmp_path):
    run = new_run()
    train(run, 0, 3)
    save(tmp_path / "run.pt", run, step=3)
    return tmp_path / "run.pt"


def refused(path, run) -> str:
    """The message with which `path` is refused, once it is known that nothing has changed by it."""
    train(run, 0, 2)  # so that every part has a state to lose
    before = state(run)
    with pytest.raises(CheckpointError) as error:
        restore(path, run)
    assert same(before, state(run))
    return str(error.value)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.9, -1], ids=str)
def test_a_truncated_file_is_refused(saved, keep):
    raw = saved.read_bytes()
    saved.write_bytes(raw[: int(keep * len(raw)) if keep >= 0 else -1])
    assert "cut off" in refused(saved, new_run())


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_is_refused(saved, seed):
    raw = bytearray(saved.read_bytes())
    place = random.Random(seed).randrange(8 * len(raw))
    raw[place // 8] ^= 1 << place % 8
    saved.write_bytes(bytes(raw))
    assert "damaged" in refused(saved, new_run())


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "gone.pt cannot be read: No such file" in refused(tmp_path / "gone.pt", new_run())


def test_a_file_of_another_program_is_refused(tmp_path):
    torch.save({"model": 1}, tmp_path / "other.pt")
    assert "another program" in refused(tmp_path / "other.pt", new_run())


class Payload:
    def __reduce__(self):
        return exec, ("import builtins; builtins.exploded = True",)


def write_with_digest(path, content):
    torch.save(content, path)
    raw = path.read_bytes()
    path.write_bytes(raw + b"\nsha256 " + checkpoint.hashlib.sha256(raw).hexdigest().encode())


def test_code_in_a_file_is_not_run(tmp_path):
    write_with_digest(tmp_path / "evil.pt", {"format": 1, "model": Payload()})
    assert "holds more than data" in refused(tmp_path / "evil.pt", new_run())
    import builtins

    assert not hasattr(builtins, "exploded")


def test_a_later_format_is_refused(tmp_path):
    write_with_digest(tmp_path / "later.pt", {"format": 2})
    assert "another format" in refused(tmp_path / "later.pt", new_run())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            partial(new_run, width=7),
            ["`model`, `0.weight`: float32 (6, 1, 3, 3) in the file, float32 (7, 1, 3, 3) here"],
        ),
        (partial(new_run, partial(optim.SGD, lr=0.1, momentum=0.9)), ["saved from AdamW, here it is SGD"]),
        (partial(new_run, make_scheduler=warm_then_cosine), ["saved from OneCycleLR, here it is SequentialLR"]),
        (partial(new_run, batch_size=9), ["`batches` refuses its state", "batches of 8", "batches of 9"]),
        (
            partial(new_run, lambda params: optim.AdamW([{"params": [p]} for p in params])),
            ["group 0 parameter 1", "no group"],
        ),
    ],
    ids=["model", "optimizer", "scheduler", "batch size", "groups"],
)
def test_the_file_of_another_run_is_refused(saved, other, words):
    message = refused(saved, other())
    assert all(word.replace("no group", "lacks group") in message for word in words), message


def test_a_model_with_one_layer_more_is_refused(saved):
    run = new_run()
    run["model"].append(nn.Linear(3, 3))
    message = refused(saved, run)
    assert "`model` lacks `6.weight` in the file" in message and "`6.bias`" in message


def test_a_model_with_one_layer_less_is_refused(saved):
    run = new_run()
    del run["model"][5]
    run["model"][4] = nn.LazyLinear(3)
    run["model"][4](torch.zeros(1, 24))
    assert "`model` has no `5.weight`, the file has" in refused(saved, run)


@pytest.mark.filterwarnings("ignore:.*will not be restored")
@pytest.mark.parametrize("name", ["model", "optimizer", "scheduler", "batches"])
def test_a_part_that_is_missing_on_either_side_is_named(saved, name, tmp_path):
    fewer = {key: part for key, part in new_run().items() if key != name}
    save(tmp_path / "fewer.pt", fewer, step=0)
    assert f"`{name}` is not in the file" in refused(tmp_path / "fewer.pt", new_run())
    with pytest.raises(CheckpointError, match=f"`{name}` is in the file, but nobody asks for it"):
        restore(saved, fewer)


class Stubborn(Batches):
    def load_state_dict(self, state):
        super().load_state_dict(state)
        if state["place"] == 24:  # that of the file
            raise RuntimeError("not today")


def test_a_part_that_fails_half_way_is_put_back(saved):
    run = new_run()
    run["batches"].__class__ = Stubborn
    content = torch.load(saved, weights_only=True)
    content["kinds"]["batches"] = "Stubborn"
    write_with_digest(saved, content)
    assert "`batches` refuses its state, so nothing was restored: RuntimeError: not today" in refused(saved, run)


def test_torchs_own_loading_would_leave_a_half_loaded_model():
    """Why restore() looks first: load_state_dict copies what fits, then raises."""
    donor, model = network(6), network(6)
    wrong = dict(donor.state_dict(), **{"5.weight": torch.zeros(3, 99)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict(wrong)
    assert torch.equal(model[0].weight, donor[0].weight) and not torch.equal(model[5].weight, donor[5].weight)


# ---- the state of an optimizer belongs to parameters, not to places


class Layers(nn.Module):
    """Two layers of one shape, a third of another; `order` is that in which they are defined."""

    def __init__(self, order="abc"):
        super().__init__()
        for name in order:
            setattr(self, name, nn.Linear(5, 3) if name == "c" else nn.Linear(5, 5))

    def forward(self, x):
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))


def layered(order="abc", *, seed=0, make=ADAMW, params=lambda model: model.parameters()) -> dict:
    torch.manual_seed(seed)
    model = Layers(order)
    return {"model": model, "optimizer": make(params(model))}


def go(run: dict, steps=3) -> dict[str, torch.Tensor]:
    """The parameters by name after so many steps, always on the same batches."""
    for number in range(steps):
        x = torch.randn(8, 5, generator=torch.Generator().manual_seed(number))
        run["optimizer"].zero_grad()
        F.cross_entropy(run["model"](x), torch.arange(8) % 3).backward()
        run["optimizer"].step()
    return {name: p.detach().clone() for name, p in run["model"].named_parameters()}


def group_of_each(model, *, order="abc", lrs=None):
    """A group for each layer, with an lr of its own."""
    lrs = lrs or {"a": 0.3, "b": 0.003, "c": 0.01}
    return [{"params": list(getattr(model, name).parameters()), "lr": lrs[name]} for name in order]


BY_PARAMETER = [
    ADAMW,
    partial(optim.SGD, lr=0.1, momentum=0.9),
    partial(optim.Adam, lr=0.01, amsgrad=True),
    optim.Rprop,
]


@pytest.mark.parametrize("order", ["bac", "cba", "bca"])
@pytest.mark.parametrize("params", [nn.Module.parameters, nn.Module.named_parameters], ids=["plain", "named"])
@pytest.mark.parametrize("make", BY_PARAMETER, ids=["AdamW", "SGD", "AMSGrad", "Rprop"])
def test_state_goes_to_the_parameter_of_its_name(tmp_path, make, params, order):
    run = layered(make=make, params=params)
    go(run)
    save(tmp_path / "run.pt", run, step=3)
    resumed = layered(order, seed=9, make=make, params=params)
    restore(tmp_path / "run.pt", resumed)
    assert same(go(run), go(resumed))


def test_without_a_model_the_names_of_the_optimizer_do(tmp_path):
    run = layered(params=nn.Module.named_parameters)
    go(run)
    save(tmp_path / "run.pt", {"optimizer": run["optimizer"]}, step=3)
    resumed = layered("bac", seed=9, params=nn.Module.named_parameters)
    resumed["model"].load_state_dict(run["model"].state_dict())
    restore(tmp_path / "run.pt", {"optimizer": resumed["optimizer"]})
    assert same(go(run), go(resumed))
    assert resumed["optimizer"].param_groups[0]["param_names"][:2] == ["b.weight", "b.bias"]


def test_groups_in_another_order_within_are_mapped_and_swapped_groups_are_refused(tmp_path):
    run = layered(params=group_of_each)
    go(run)
    save(tmp_path / "run.pt", run, step=3)
    for order in ("bac", "cba"):
        other = layered(seed=9, params=partial(group_of_each, order=order))
        go(other)
        before = copy.deepcopy([part.state_dict() for part in other.values()])
        with pytest.raises(
            CheckpointError, match=r"group 0 held `model\.a\.bias`, `model\.a\.weight` when it was saved"
        ):
            restore(tmp_path / "run.pt", other)
        assert same(before, [part.state_dict() for part in other.values()])

    def turned(model):
        return [group | {"params": group["params"][::-1]} for group in group_of_each(model)]

    resumed = layered("cab", seed=9, params=turned)
    restore(tmp_path / "run.pt", resumed)
    assert [group["lr"] for group in resumed["optimizer"].param_groups] == [0.3, 0.003, 0.01]
    assert same(go(run), go(resumed))


def closure_of(run):
    def closure():
        run["optimizer"].zero_grad()
        loss = F.cross_entropy(run["model"](torch.ones(3, 5)), torch.arange(3))
        loss.backward()
        return loss

    return closure


def test_state_of_several_parameters_at_once_is_not_mapped(tmp_path):
    """LBFGS keeps all of them in one vector, under the first."""
    run = layered(make=optim.LBFGS)
    run["optimizer"].step(closure_of(run))
    save(tmp_path / "run.pt", run, step=1)
    restore(tmp_path / "run.pt", layered(make=optim.LBFGS, seed=9))
    other = layered("bac", make=optim.LBFGS, seed=9)
    before = copy.deepcopy(other["model"].state_dict())
    with pytest.raises(CheckpointError, match=r"order them as they were, `model\.a\.weight`, `model\.a\.bias`"):
        restore(tmp_path / "run.pt", other)
    assert same(dict(before), dict(other["model"].state_dict())) and not other["optimizer"].state


class InTheState(optim.SGD):
    """Keeps something for each parameter, by its place, beside the state."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.mine = [torch.zeros_like(p) for p in self.param_groups[0]["params"]]

    def state_dict(self):
        return super().state_dict() | {"mine": self.mine}

    def load_state_dict(self, state):
        self.mine = state["mine"]
        super().load_state_dict({key: state[key] for key in ("state", "param_groups")})


class InTheGroup(optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.param_groups[0]["mine"] = [torch.zeros_like(p) for p in self.param_groups[0]["params"]]


class Counts(optim.SGD):
    """Keeps a number of its own among the states of the parameters."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.state["k"] = torch.tensor([0])


@pytest.mark.parametrize("make", [InTheState, InTheGroup, Counts])
def test_what_is_kept_by_place_is_not_mapped(tmp_path, make):
    save(tmp_path / "run.pt", layered(make=make), step=1)
    restore(tmp_path / "run.pt", layered(make=make, seed=9))
    with pytest.raises(
        CheckpointError, match=r"nothing says to which of them its `(mine|k)` belongs: order them as they were"
    ):
        restore(tmp_path / "run.pt", layered("bac", make=make, seed=9))


def test_parameters_without_a_name_are_restored_only_where_their_shapes_tell_them_apart(tmp_path):
    def raw(shapes):
        params = [torch.ones(shape, requires_grad=True) for shape in shapes]
        optimizer = ADAMW(params)
        for p in params:
            p.grad = torch.full_like(p, p.numel())
        optimizer.step()
        return {"optimizer": optimizer}

    save(tmp_path / "clear.pt", raw([3, 4]), step=1)
    assert restore(tmp_path / "clear.pt", raw([3, 4])) == (1, {})
    with pytest.warns(
        UserWarning, match=r"alike.pt will not be restored: `optimizer` holds several parameters of shape"
    ):
        save(tmp_path / "alike.pt", raw([3, 3]), step=1)
    with pytest.raises(CheckpointError, match="together with the model that they belong to"):
        restore(tmp_path / "alike.pt", raw([3, 3]))


# ---- a file of another machine


def test_a_file_written_on_a_gpu_is_restored_on_a_cpu(tmp_path, monkeypatch):
    """torch notes the device beside each tensor; here it is told another."""
    run = new_run()
    train(run, 0, 3)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        save(tmp_path / "run.pt", run, step=3)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(tmp_path / "run.pt", weights_only=True)
    at_three = state(run)
    resumed = new_run(seed=9)
    restore(tmp_path / "run.pt", resumed)
    assert same(at_three, state(resumed))


@pytest.mark.parametrize(("saved", "here"), [(True, False), (False, True)])
def test_what_only_a_gpu_can_do_stays_as_it_is_here(tmp_path, saved, here):
    """`capturable` is for a GPU's graphs: a step with it raises on a CPU, which here is seen in the groups alone."""

    def run(capturable):
        model = nn.Linear(3, 2)
        optimizer = torch.optim.Adam([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.25)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        for group in optimizer.param_groups:
            group["capturable"] = capturable
        return {"model": model, "optimizer": optimizer}

    save(tmp_path / "run.pt", run(saved), step=1)
    resumed = run(here)
    restore(tmp_path / "run.pt", resumed)
    groups = resumed["optimizer"].param_groups
    assert [group["capturable"] for group in groups] == [here, here] and [group["lr"] for group in groups] == [
        0.25,
        0.5,
    ]


# ---- files that must not be written


@pytest.mark.parametrize("at", ["save", "fsync", "replace"])
def test_a_failed_save_leaves_the_older_file_and_no_rubbish(saved, monkeypatch, at):
    def fail(*_):
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(torch if at == "save" else checkpoint.os, at, fail)
    with pytest.raises(CheckpointError, match=r"run\.pt was not written: OSError: .*No space left"):
        save(saved, new_run(), step=9)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_what_could_not_be_read_back_is_not_written(saved):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match=r"cannot be read back, so run\.pt was not written"):
        save(saved, new_run(), step=9, notes={"when": np.float64})
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_numbers_of_numpy_are_notes(tmp_path):
    losses = np.array([0.5, 0.25])
    notes = {
        "loss": losses[-1],
        "half": np.float32(0.5),
        "best": np.int64(3),
        "done": np.bool(True),
        "name": np.str_("x"),
    }
    notes["per epoch"] = [{"loss": loss, np.int64(7): (loss, None)} for loss in losses]
    save(tmp_path / "x.pt", {}, step=np.int64(4), notes=notes)
    step, restored = restore(tmp_path / "x.pt", {})
    assert (step, restored) == (4, notes)
    kinds = {type(value) for value in restored.values()} | {type(restored["per epoch"][0]["loss"])}
    assert kinds == {float, int, bool, str, list}


class Odd:
    pass


def test_notes_that_hold_themselves_are_refused(saved):
    notes = {}
    notes["again"] = notes
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match="`notes` hold themselves"):
        save(saved, new_run(), step=9, notes=notes)
    assert saved.read_bytes() == before


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({"a": 1, "when": np.float64}, r"notes\['when'\] is the class `float64`"),
        ({"runs": [{"loss": 0.1}, {"loss": Odd()}]}, r"notes\['runs'\]\[1\]\['loss'\] is a `Odd`"),
        ({"losses": np.ones(3)}, r"notes\['losses'\] is a `ndarray`"),
        ({"f": lambda: 1}, r"notes\['f'\] is a `function`"),
    ],
    ids=["class", "object", "array", "function"],
)
def test_the_entry_that_is_refused_is_named_in_plain_text(saved, notes, words):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match=words) as refusal:
        save(saved, new_run(), step=9, notes=notes)
    assert "\x1b" not in str(refusal.value) and saved.read_bytes() == before


def test_an_lr_of_numpy_is_saved_if_it_computes_as_pythons_does(tmp_path):
    run = new_run(partial(optim.SGD, lr=np.float64(0.1)), partial(lr_scheduler.StepLR, step_size=9))
    train(run, 0, 2)
    save(tmp_path / "run.pt", run, step=2)
    losses = train(run, 2, 4)
    resumed = new_run(partial(optim.SGD, lr=0.3), partial(lr_scheduler.StepLR, step_size=9), seed=9)
    restore(tmp_path / "run.pt", resumed)
    assert train(resumed, 2, 4) == losses
    single = new_run(partial(optim.SGD, lr=np.float32(0.1)), partial(lr_scheduler.StepLR, step_size=9))
    with pytest.raises(CheckpointError, match=r"optimizer\['param_groups'\]\[0\]\['lr'\] is a `float32`"):
        save(tmp_path / "other.pt", single, step=2)


def test_a_part_without_a_state_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="`loader` is a list: it has no state_dict"):
        save(tmp_path / "x.pt", {"loader": [1]}, step=0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"x\.pt was not written: FileNotFoundError"):
        save(tmp_path / "gone" / "x.pt", {}, step=0)


# ---- the order of the rows


def test_batches_visit_every_row_once_per_pass():
    batches = Batches(12, 4, seed=0)
    for _ in range(3):
        assert sorted(torch.cat([next(batches) for _ in range(3)]).tolist()) == list(range(12))


def test_batches_depend_on_their_seed_alone():
    torch.manual_seed(0)
    first = [next(b).tolist() for b in [Batches(20, 6, seed=3)] for _ in range(5)]
    torch.manual_seed(1)
    again = [next(b).tolist() for b in [Batches(20, 6, seed=3)] for _ in range(5)]
    other = [next(b).tolist() for b in [Batches(20, 6, seed=4)] for _ in range(5)]
    assert first == again != other


@pytest.mark.parametrize("batch_size", [0, 13])
def test_a_batch_size_that_cannot_be_is_refused(batch_size):
    with pytest.raises(ValueError, match="use 1 to 12"):
        Batches(12, batch_size, seed=0)
