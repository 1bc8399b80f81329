"""What the examiner knows of mistakes: histories, pure update rules that can go wrong on demand, and the comparison.

A mistake is named only if a rule that makes it, and makes no other, leads along the student's own path. The rules are
trusted only where they reproduce the reference when they make no mistake.
"""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from utils.checks.examiner.cases import Case, Rows, apart

# --- update rules: state, gradient, options of the group, step from 1, mistake → what is subtracted ------------------


def _sgd(s: dict, g: Tensor, o: dict, t: float, flaw: str) -> Tensor:
    momentum, dampening = o.get("momentum", 0), o.get("dampening", 0)
    if not momentum:
        return o["lr"] * g
    dampening = 0 if flaw == "no dampening" else dampening
    if "buffer" in s or flaw == "dampened start":
        s["buffer"] = momentum * s.get("buffer", 0) + (1 - (momentum if flaw == "average" else dampening)) * g
    else:
        s["buffer"] = (1 - momentum) * g if flaw == "average" else g
    ahead = o.get("nesterov") and flaw != "no look-ahead"
    return o["lr"] * (g + momentum * s["buffer"] if ahead else s["buffer"])


def _adam(s: dict, g: Tensor, o: dict, t: float, flaw: str) -> Tensor:
    b1, b2 = (float(b) for b in o["betas"])
    b1, b2 = (b2, b1) if flaw == "swapped betas" else (b1, b2)
    old = s.get("m", torch.zeros_like(g))
    m = s["m"] = b1 * old + (1 - b1) * g
    c1 = 1 - b1 ** (1 if flaw == "constant correction" else t)
    c2 = 1 - b2 ** (1 if flaw == "constant correction" else t)
    squared = {"square of m": m, "square of the old m": old, "square of the corrected m": m / c1}.get(flaw, g)
    v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * squared * squared
    if o.get("amsgrad") and flaw != "no amsgrad":
        v = s["top"] = torch.maximum(s.get("top", v), v)
    if flaw in ("no correction of m", "no correction"):
        c1 = 1
    if flaw in ("no correction of v", "no correction"):
        c2 = 1
    if flaw in ("eps first", "eps inside, first"):
        root = (v.sqrt() + o["eps"] if flaw == "eps first" else (v + o["eps"]).sqrt()) / c2**0.5
        return o["lr"] * m / c1 / root
    return o["lr"] * m / c1 / _root(v / c2, o, flaw)


def _rmsprop(s: dict, g: Tensor, o: dict, t: float, flaw: str) -> Tensor:
    alpha = 1 - o["alpha"] if flaw == "swapped alpha" else o["alpha"]
    m = s["m"] = alpha * s.get("m", 0) + (1 - alpha) * g
    squared = m if flaw == "square of m" else g
    v = s["v"] = alpha * s.get("v", 0) + (1 - alpha) * squared * squared
    c = 1 - alpha**t if flaw == "correction added" else 1
    centred = o.get("centered") and flaw != "not centered"
    step = g / _root(v / c - (m / c) ** 2 if centred else v / c, o, flaw)
    if o.get("momentum", 0):
        step = s["buffer"] = o["momentum"] * s.get("buffer", 0) + step
    return o["lr"] * step


def _adagrad(s: dict, g: Tensor, o: dict, t: float, flaw: str) -> Tensor:
    s["sum"] = s.get("sum", o.get("initial_accumulator_value", 0) * torch.ones_like(g)) + g * g
    slower = 1 if flaw == "no lr_decay" else 1 + (t - 1) * o["lr_decay"]
    return o["lr"] / slower * g / _root(s["sum"], o, flaw)


def _root(v: Tensor, o: dict, flaw: str) -> Tensor:
    if flaw == "eps inside":
        return (v + o["eps"]).sqrt()
    return (v if flaw == "no root" else v.sqrt()) + (0 if flaw == "no eps" else o["eps"])


def _rule(core: Callable, *, decoupled: bool = False) -> Callable:
    """The rule around a core: (state, p, g, options, t, flaw) → the new p, with weight decay, maximize and sign."""

    def rule(s, p, g, o, t, flaw):
        decay = 0 if flaw == "no decay" else o.get("weight_decay", 0)
        coupled = decoupled == (flaw == "swapped decay")
        without_lr = flaw.startswith("decay without lr")
        keep = 1 - decay if without_lr else 1 if coupled else 1 - o["lr"] * decay
        g = -g if o.get("maximize") and flaw != "maximize ignored" else g
        update = core(s, g + decay * p if coupled and not without_lr else g, o, t, flaw)
        update = -update if flaw == "sign" else update
        return (p - update) * keep if flaw.endswith("last") else p * keep - update

    return rule


def _rule_of(make: Callable) -> Callable:
    """The rule of an optimizer that is none of the known ones: the optimizer itself, on one parameter."""

    def rule(s, p, g, o, t, flaw):
        if "optimizer" not in s:
            s["p"] = p.clone().requires_grad_()
            s["optimizer"] = make([s["p"]])
        s["optimizer"].param_groups[0].update({k: o[k] for k in ("lr", "maximize") if k in o})
        with torch.no_grad():
            s["p"].copy_(p)
        s["p"].grad = g.clone()
        s["optimizer"].step()
        new = s["p"].detach().clone()
        return 2 * p - new if flaw == "sign" else new

    return rule


_RULES = [_rule(_sgd), _rule(_adam, decoupled=True), _rule(_adam), _rule(_rmsprop), _rule(_adagrad)]

_CORRECTION = "divide {} by 1 - betas[{}] ** t, with t = 1 in the first step."
FLAWS = {  # in order of naming, where two lead along the same path
    "sign": "It climbs where it should descend: look at the sign of the update.",
    "no correction": "You skipped both bias corrections: m and v start at zero and are too small in the first steps.",
    "no correction of m": f"You skipped the bias correction of m: {_CORRECTION.format('m', 0)}",
    "no correction of v": f"You skipped the bias correction of v: {_CORRECTION.format('v', 1)}",
    "eps inside": "Your eps is inside the root: torch adds it outside, to √v.",
    "eps inside, first": "Your eps is inside the root: torch adds it outside, to √v, after v was corrected.",
    "eps first": "Your eps is added before v is corrected: torch corrects v, takes the root, then adds eps.",
    "no eps": "`eps` is not used: it bounds the step where v is tiny.",
    "no root": "The root is missing: the step is divided by √v, not by v.",
    "square of m": "v averages the square of m: it should average the square of the gradient.",
    "square of the old m": "v averages the square of m: it should average the square of the gradient.",
    "square of the corrected m": "v averages the square of m: it should average the square of the gradient.",
    "swapped decay": "",  # two messages, see `message`
    "decay without lr": "Your weight decay is not multiplied by lr.",
    "decay without lr, last": "Your weight decay is not multiplied by lr.",
    "decay last": "You decay the parameter after the step, which shrinks the step too: torch decays first.",
    "no decay": "`weight_decay` is not used.",
    "dampened start": "You dampen the first gradient too, as a buffer that starts at zero does: torch starts the "
    "buffer with the whole gradient.",
    "no dampening": "`dampening` is not used: from the second step on the gradient counts (1 - dampening) times.",
    "average": "Your buffer is a running average with the weight 1 - momentum: torch adds the gradient with weight 1.",
    "no look-ahead": "The look-ahead of Nesterov is missing: the step follows gradient + momentum × new buffer.",
    "swapped betas": "Your betas are swapped: betas[0] belongs to m, betas[1] to v.",
    "swapped alpha": "Your averages weigh old and new the wrong way round: the old average counts alpha times.",
    "constant correction": "You always divide by 1 - beta: the correction is 1 - beta ** t, and it fades.",
    "correction added": "You correct the bias of the average: torch's RMSprop does not.",
    "not centered": "`centered` is not used: the square of the averaged gradient is subtracted from v.",
    "no amsgrad": "`amsgrad` is not used: divide by the largest v so far.",
    "no lr_decay": "`lr_decay` is not used: the lr of step t is lr / (1 + (t - 1) · lr_decay).",
    "maximize ignored": "`maximize` is not used: with it the gradient changes its sign, before the weight decay.",
    "lr of defaults": "The lr does not come from the group: `group['lr']` holds it. What is in `self.defaults` or was "
    "kept in `__init__` knows nothing of groups and schedulers.",
    "lr of the first group": "Every group uses the lr of the first: read `group['lr']` inside the loop over groups.",
    "shared state": "Your parameters share one state: each needs its own, `state = self.state[p]`.",
    "shared state, t per step": "Your parameters share one state: each needs its own, `state = self.state[p]`.",
    "shared t": "Your parameters share one step counter, and each counts it up: keep it in `self.state[p]`.",
    "t per step": "Your step counter counts calls of `step`, not the updates of each parameter: keep it in "
    "`self.state[p]`, since a parameter may join late or have no gradient.",
    "t from 0": "Your step counter starts at 0: count it up before you use it, so that the first step has t = 1.",
    "t from 2": "Your step counter is one too large: the first step has t = 1.",
    "None as zero": "A parameter whose gradient is None is updated as if it were zero: skip it.",
}


def message(flaw: str, rule: Callable) -> str:
    if flaw != "swapped decay":
        return FLAWS[flaw]
    if rule is _RULES[1]:
        return (
            "Your weight decay is coupled, added to the gradient: decoupled it shrinks the parameter itself by lr · wd."
        )
    return (
        "Your weight decay is decoupled, it shrinks the parameter itself: torch adds weight_decay · p to the gradient."
    )


def follow(rule: Callable, case: Case, steps: int, options: dict, flaw: str = "") -> Iterator[list[Tensor]]:
    """The rows that `rule` with this mistake leads through."""
    points, base = case.parameters(), options["lr"]
    states, counts, calls = [{} for _ in points], [0] * len(points), 0
    for k, row in enumerate(case.gradients(steps)):
        for i, g in enumerate(row):
            if g is None and flaw == "None as zero":
                g = torch.zeros_like(points[i])
            if g is None or k < case.joins(i, steps):
                continue
            counts[i] += 1
            calls += 1
            t = {"shared t": calls, "shared state": calls, "t per step": k + 1, "shared state, t per step": k + 1}
            t = t.get(flaw, counts[i] + {"t from 0": -1, "t from 2": 1}.get(flaw, 0))
            factor = case.factor(0 if flaw == "lr of the first group" else i)
            lr = base if flaw == "lr of defaults" else base * factor * case.schedule**k
            state = states[0 if flaw.startswith("shared state") else i]
            points[i] = rule(state, points[i], g, {**options, "lr": lr, "maximize": case.maximize}, t, flaw)
        yield list(points)


def _leads_along(rule: Callable, case: Case, rows: Rows, steps: int, options: dict, flaw: str) -> bool:
    """True if the rule goes where `rows` went, as far as they went."""
    done = []
    try:
        for new, _ in zip(follow(rule, case, steps, options, flaw), rows, strict=False):
            done.append(new)
            if len(done) == 1 and apart(rows[:1], done):  # most stop here
                return False
    except (ArithmeticError, KeyError, RuntimeError, TypeError, ValueError):  # a rule for other options or shapes
        pass
    return len(done) == len(rows) and not apart(rows, done)


def diagnose(make_reference: Callable, options: dict, walks: list[tuple[Case, Rows, Rows]], steps: int) -> str | None:
    """The mistake that explains where the candidate went in all `walks` (case, its rows, the reference's), or None.

    The last walk is the one that went wrong. Gives up after a second: a reference may be slow.
    """
    end = time.monotonic() + 1
    for rule in [*_RULES, _rule_of(make_reference)]:
        if all(_leads_along(rule, case, truth, steps, options, "") for case, _, truth in walks):
            break
    else:
        return None
    for flaw in FLAWS:
        if time.monotonic() > end:
            return None
        if all(_leads_along(rule, case, rows, steps, options, flaw) for case, rows, _ in reversed(walks)):
            return message(flaw, rule)
    return None
