"""Towers side by side, by what their frozen features tell of pictures that no probe has seen."""
