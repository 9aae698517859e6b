"""The scoring stage: jobs are decoded, scored and stored."""
