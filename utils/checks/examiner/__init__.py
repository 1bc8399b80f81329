"""The examiner: an optimizer of one's own beside a reference, at every step, and the contract of torch.optim.

examine    check_optimizer(): the report card
attempt    leading one optimizer through one history, guarded
cases      the histories
mistakes   rules that go wrong on demand: a mistake is named only if it explains every step
"""

from utils.checks.examiner.examine import check_optimizer, examine

__all__ = ["check_optimizer", "examine"]
