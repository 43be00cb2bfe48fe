"""Long work over a client: batches that survive the night, and the refresh of the catalogue.

Public: `Batch` and what it reports, `read_results`, `refresh_models`.
"""

from .batch import Batch, BatchReport
from .results import BatchFailure, BatchRow, read_results

__all__ = ["Batch", "BatchFailure", "BatchReport", "BatchRow", "read_results"]
