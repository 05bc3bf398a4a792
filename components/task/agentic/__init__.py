"""What is done on a page, with a tool, or in code."""
