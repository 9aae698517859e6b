"""What commands print: tables, explanations, heat maps."""
