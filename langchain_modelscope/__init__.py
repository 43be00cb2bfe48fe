"""LangChain's classes for ModelScope API-Inference."""
