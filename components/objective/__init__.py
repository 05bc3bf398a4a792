"""Objectives: a module and a batch to a loss."""
