"""The bug clinics: each program as it stands in its lesson shows its fault, and a repair is told from half of one."""

import ast
import json
from functools import cache
from pathlib import Path

import pytest

from utils import checks

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
# By the name of what the student repairs: the lesson, the id of its cell, the check.
PATIENTS = {
    "by_hand": ("01", "clinic-rebind-run", checks.check_moves),
    "fresh_start": ("01", "clinic-old-model-run", checks.check_fresh),
    "embed": ("02c", "clinic-sparse-run", checks.check_words),
    "contest": ("02d", "clinic-compare", checks.check_contest),
    "Repaired": ("03", "clinic-closure-class", checks.check_repaired),
    "Borrowed": ("03", "clinic-memory-run", checks.check_borrowed),
    "draw_then_train": ("04a", "clinic-spent", checks.check_plan),
    "follow": ("04b", "clinic-plateau", checks.check_plateau),
    "train_clipped": ("05a", "clinic-clip", checks.check_clipping),
    "logged_run": ("05b", "clinic-log", checks.check_log),
}


@cache
def lesson(number: str) -> dict[str, str]:
    """The sources of the lesson's code cells, by their ids."""
    (path,) = NOTEBOOKS.glob(f"{number}-*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}


@cache
def settings(number: str) -> dict:
    """The names that a clinic's program finds in its lesson."""
    cells = lesson(number)
    names = {}
    for id in ("setup", "setup-schedulers", "setup-workshop", "sgd-number", "skeleton-tools", "skeleton-class"):
        if id in cells and (id.startswith("setup") or number == "03"):
            exec(cells[id].replace("plt.style.use", "id"), names)
    exec("from utils import data\ndigits = data.digits()", names)
    return names


def repaired(patient: str, *changes: tuple[str, str]):
    """What the program defines, with these changes of its text."""
    number, id, _ = PATIENTS[patient]
    source = lesson(number)[id]
    (node,) = (node for node in ast.parse(source).body if getattr(node, "name", None) == patient)
    text = ast.get_source_segment(source, node)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    names = dict(settings(number))
    exec(text, names)
    return names[patient]


def judged(patient: str, *changes: tuple[str, str]):
    return PATIENTS[patient][2](repaired(patient, *changes))


@pytest.mark.parametrize("patient", PATIENTS)
def test_the_program_of_the_page_still_has_its_fault_and_no_diagnosis_is_given_away(patient):
    verdict = judged(patient)
    assert verdict.untouched and verdict.message.startswith("The fault is still there: "), verdict
    assert not any(word in verdict.message for word in ("It was", "no_grad", "clone", "`mode`", "param_groups"))


IN_PLACE = ("param = param - 0.1 * gradient", "with torch.no_grad():\n                param -= 0.1 * gradient")
NO_GRAD = ("    def step", "    @torch.no_grad()\n    def step")
NEW_MODEL = ('    model = make_model(seed=0)  # "let us start again from fresh weights"\n', "")
BEFORE_BACKWARD = "        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n        loss.backward()\n"
AFTER_BACKWARD = "        loss.backward()\n        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
LOG, STEP = '        logged.append(optimizer.defaults["lr"])\n', "        scheduler.step()\n"
LOG_GROUPS = LOG.replace("defaults", "param_groups[0]")
SPARSE = [("sparse=False", "sparse=True"), ("optim.Adam(", "optim.SparseAdam(")]
DRAWN = "    scheduler = CosineAnnealingLR(optimizer, T_max=5)\n"
FAIR = [
    ("    model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))\n    torch.manual_seed(0)\n", ""),
    (
        '    for name, optimizer in {\n        "SGD": optim.SGD(model.parameters(), lr=0.001),\n'
        '        "Adam": optim.Adam(model.parameters(), lr=0.001),\n    }.items():\n',
        "    runs = [(s, k) for s in range(3) for k in ('SGD', 'Adam')]\n"
        "    for seed, name in runs:\n        torch.manual_seed(seed)\n"
        "        model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))\n"
        "        lr = 0.3 if name == 'SGD' else 0.01\n"
        "        optimizer = getattr(optim, name)(model.parameters(), lr=lr)\n",
    ),
    ("seed=len(name)", "seed=seed"),
]


@pytest.mark.parametrize(
    ("patient", "changes", "words"),
    [
        ("by_hand", [IN_PLACE], "It was the name"),
        ("by_hand", [("param = param - 0.1", "param.data = param.data - 0.1")], "It was the name"),
        ("fresh_start", [NEW_MODEL], "It was the order"),
        ("fresh_start", [("lr=0.5)\n" + NEW_MODEL[0], "lr=0.5)\n")], "It was the order"),
        (
            "fresh_start",
            [("    losses = []", "    optimizer.param_groups[0]['params'] = [*model.parameters()]\n    losses = []")],
            "It was the order",
        ),
        ("embed", SPARSE, "did not fit the layout"),
        ("contest", FAIR, "a model of its own for every run"),
        ("Repaired", [NO_GRAD, ("closure()", "torch.enable_grad()(closure)()")],
         "autograd remembers nothing"),
        ("Repaired", [('["weight_decay"] * p', '["weight_decay"] * p.detach()')], "autograd remembers nothing"),
        ("Borrowed", [("= g\n", "= g.clone()\n")], "The buffer was no copy"),
        ("Borrowed", [('state["b"].mul_(0.9).add_(g)', 'state["b"] = 0.9 * state["b"] + g'), ("= g\n", "= 1 * g\n")],
         "The buffer was no copy"),
        (
            "draw_then_train",
            [
                ("        planned.append(scheduler.get_last_lr()[0])\n        optimizer.step()\n" + STEP,
                 "        pass\n    planned = lr_curve(partial(CosineAnnealingLR, T_max=5), 5, lr=0.1)\n"),
            ],
            "Drawing had spent the scheduler",
        ),
        ("follow", [("patience=1", "patience=1, mode='max'")], "`mode` is"),
        ("follow", [("step(accuracy)", "step(1 - accuracy)")], "`mode` is"),
        ("train_clipped", [(BEFORE_BACKWARD, AFTER_BACKWARD)], "It was the order"),
        ("train_clipped", [(BEFORE_BACKWARD, AFTER_BACKWARD.replace("norm_", "value_"))], "It was the order"),
        ("logged_run", [(STEP + LOG, LOG_GROUPS + STEP)], "the one that its step used"),
        ("logged_run", [(STEP + LOG, LOG.replace('optimizer.defaults["lr"]', "scheduler.get_last_lr()") + STEP)],
         "the one that its step used"),
    ],
)  # fmt: skip
def test_a_repair_passes_and_the_fault_is_named(patient, changes, words):
    verdict = judged(patient, *changes)
    assert verdict and words in verdict.message, verdict


@pytest.mark.parametrize(
    ("patient", "changes", "words"),
    [
        ("by_hand", [(IN_PLACE[0], "param -= 0.1 * gradient")], "belongs under `torch.no_grad()`"),
        ("by_hand", [IN_PLACE, ("param -=", "param +=")], "which way does the gradient point?"),
        ("by_hand", [IN_PLACE, ("0.1 * gradient", "gradient")], "how much of the gradient makes a step?"),
        ("by_hand", [("    return losses", "    print(losses)")], "is its `return` missing?"),
        ("fresh_start", [NEW_MODEL, ("lr=0.5", "lr=-0.5")], "Invalid learning rate"),
        ("fresh_start", [NEW_MODEL, ("loss.backward()", "(-loss).backward()")], "and not down"),
        ("embed", [("sparse=False", "sparse=True")], "which optimizer of torch takes one?"),
        ("embed", [("optim.Adam(", "optim.SparseAdam(")], "asks for the sparse layout"),
        ("embed", [("        optimizer.step()\n", "")], "its row does not move"),
        ("contest", [("        \"Adam\": optim.Adam(model.parameters(), lr=0.001),\n", "")], "two are to be compared"),
        ("Repaired", [NO_GRAD], "Are gradients enabled while it runs?"),
        ("Repaired", [NO_GRAD, ("0.9 * self", "0.5 * self")], "no longer torch's"),
        ("Repaired", [("p.data.add_", "p.add_")], "belongs under `torch.no_grad()`"),
        ("Borrowed", [("= g\n", "= 0.1 * g\n")], "At home, with `set_to_none=True`, the values are no longer"),
        ("draw_then_train", [("        scheduler.step()\n", "")], "should still show the cosine"),
        ("draw_then_train", [("    return", DRAWN + "    return")], "Which lr had the optimizer"),
        ("draw_then_train", [(", scheduler=scheduler", "")], "Now lr"),
        ("follow", [("        scheduler.step(accuracy)\n", "")], "the scheduler should see that"),
        ("train_clipped", [("lr=0.3, momentum=0.9", "lr=0.001")], "so is the step"),
        ("train_clipped", [("SGD", "Adam"), (", momentum=0.9", ""), ("0.3", "0.001")], "so is what `.grad` holds"),
        ("train_clipped", [("        optimizer.step()\n", "")], "The model is as it was"),
        ("logged_run", [(LOG, LOG_GROUPS)], "When does the scheduler write?"),
        ("logged_run", [(STEP + LOG, LOG_GROUPS.replace("])", "] / 2)") + STEP)], "The log moves now, but at step 1"),
        ("logged_run", [(LOG, LOG + LOG)], "You logged 80 lrs"),
    ],
)  # fmt: skip
def test_half_a_repair_is_told_what_is_still_seen(patient, changes, words):
    verdict = judged(patient, *changes)
    assert not verdict and not verdict.untouched and words in verdict.message, verdict


@pytest.mark.parametrize(
    ("back", "said"),
    [
        ([("        torch.manual_seed(seed)\n", "")], ["Still by chance"]),
        ([("lr = 0.3 if name == 'SGD' else 0.01", "lr = 0.01")], ["Still one lr for all, 0.01"]),
        ([("data.loaders(digits, seed=seed)", "data.loaders(digits, seed=len(name))")],
         ["Still unequal: the optimizers do not see"]),
        ([("range(3)", "range(1)")], ["Still too few runs"]),
        ([("torch.manual_seed(seed)", "torch.manual_seed(seed + len(name))")],
         ["Still unequal: the optimizers do not start"]),
        ([("range(3)", "range(1)"), ("lr = 0.3 if name == 'SGD' else 0.01", "lr = 0.01")],
         ["Still one lr for all", "Still too few runs"]),
    ],
)  # fmt: skip
def test_the_faults_of_the_comparison_are_counted_and_told_one_by_one(back, said):
    verdict = judged("contest", *FAIR, *back)
    gone = f"{5 - len(said)} of 5 faults are gone. "
    assert not verdict and verdict.message.startswith(gone + said[0]), verdict
    assert [any(other.startswith(words) for other in verdict.others) for words in said[1:]] == [True] * len(said[1:])


def test_the_diagnosis_is_proposed_after_the_second_failure():
    half = [(LOG, LOG_GROUPS)]
    judged("logged_run", (STEP + LOG, LOG_GROUPS + STEP))
    assert not judged("logged_run", *half).help
    assert "Diagnosis" in judged("logged_run", *half).help
