"""The checks of the exercises: each runs the answer beside torch.optim and says where the two part, and why.

concepts, stable_lr, resume, built_in, which_optimizer, custom, schedulers, practice, diagnosis    checks, by subject
clinics, clinic_classes, clinic_experiments    of the bug clinics: is the fault gone, and which was it?
examiner             check_optimizer(): an optimizer of one's own beside a reference
paths                the points that an optimizer visits, compared step by step
update_rules         momentum, Adam and their relatives in parts; the known mistakes replace some of them and stand in
                     update_mistakes, momentum_mistakes and adam_mistakes
schedule_mistakes    known mistakes in schedules

A check of one's own is a function that takes the answer, raises Wrong(message) at a mistake and returns its praise; the
decorator `check` makes it give a Verdict and never raise. It calls the answer through `call(...).answer()`.
"""

from importlib import import_module

from utils.guard import NotYet, Outcome, Verdict, Wrong, call, check

# What can be had from here, by the module it is in. Those are imported when they are asked for: a claim of a lesson
# depends on what its notebook imports, and importing a check must not make it depend on all the others.
_PLACES = {
    "concepts": ("check_gradient_descent", "check_one_step"),
    "stable_lr": ("check_largest_stable_lr",),
    "resume": ("check_resume",),
    "built_in": ("check_adam_path", "check_momentum_path"),
    "which_optimizer": ("check_tuned", "check_which"),
    "custom": ("check_adamw", "check_centered", "check_clipped", "check_dampened"),
    "examiner": ("check_optimizer",),
    "schedulers": ("check_multistep", "check_schedule", "check_target", "check_warm_up_cosine"),
    "practice": ("check_accumulate", "check_groups", "check_recipe"),
    "clinics": ("check_clipping", "check_fresh", "check_log", "check_moves", "check_words"),
    "clinic_classes": ("check_borrowed", "check_repaired"),
    "clinic_experiments": ("check_contest", "check_plan", "check_plateau"),
    "diagnosis": ("check_diagnosis", "check_reproduced"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["NotYet", "Outcome", "Verdict", "Wrong", "call", "check", *_MODULES]


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
