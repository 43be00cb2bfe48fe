"""What is known of models and tasks: profiles, the task table, what the service has said since.

Public: model profiles and their book, and the task table with its checks.
"""

from .models import ModelProfile, ModelStatus, ProfileBook, profile_for
from .tasks import (
    TASKS,
    ChatTask,
    EmbeddingTask,
    ImageTask,
    PipelineTask,
    RerankTask,
    Task,
    check_offered,
    check_task,
    known_task,
    task_in_id,
    task_named,
)

__all__ = [
    "TASKS",
    "ChatTask",
    "EmbeddingTask",
    "ImageTask",
    "ModelProfile",
    "ModelStatus",
    "PipelineTask",
    "ProfileBook",
    "RerankTask",
    "Task",
    "check_offered",
    "check_task",
    "known_task",
    "profile_for",
    "task_in_id",
    "task_named",
]
