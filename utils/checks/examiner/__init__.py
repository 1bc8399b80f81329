"""The examiner: an optimizer of one's own beside a reference, at every step, and the contract of torch.optim.

examine    check_optimizer(): the report card
report     its points, what is wrong with each, and the reason for the first
attempt    one optimizer led through something, guarded
walks      what it is led through
cases      the histories
mistakes   the known mistake that explains every step of every walk
"""

from utils.checks.examiner.examine import check_optimizer, examine

__all__ = ["check_optimizer", "examine"]
