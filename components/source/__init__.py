"""Real material: cut-outs, tables, photographs, fonts. Prepared once into a cache folder."""
