"""Writing, tables, charts, formulas and codes."""
