"""Output of commands: tables, explanations, heat maps."""
