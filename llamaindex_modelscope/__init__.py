"""LlamaIndex's classes for ModelScope API-Inference."""
