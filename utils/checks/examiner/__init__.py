"""The examiner: an optimizer of one's own beside a reference, at every step, and the contract of torch.optim.

examine    check_optimizer(): the report card
report     its points, and what is wrong with each
reasons    why the first that failed did
attempt    one optimizer led through something, guarded
walks      what it is led through: a history; side_effects: what else a step did; contract_walks: all that is no history
cases      what a history is; histories: all of them
mistakes   the known mistake that explains every step of every walk
"""

from utils.checks.examiner.examine import check_optimizer, examine

__all__ = ["check_optimizer", "examine"]
