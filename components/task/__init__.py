"""Categories of questions over real material, and their mixture."""
