"""Optimizer recipes: parameters to one optimizer, and its learning rate over a stage."""
