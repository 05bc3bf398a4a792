"""Two towers side by side: pictures and captions into one space."""

from vlmloom.assemblies.two_tower.two_tower import TwoTower

__all__ = ["TwoTower"]
