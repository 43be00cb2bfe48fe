"""ModelScope API-Inference, with no framework in sight."""
