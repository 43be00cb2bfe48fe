"""One call: policy, polling and free requests as generators, admission, and the driver.

Public: `RetryPolicy` and `RetryBudget`.
"""

from .retry import RetryBudget, RetryPolicy

__all__ = ["RetryBudget", "RetryPolicy"]
