"""Distances between a student's features and a teacher's, as parts of a loss."""
