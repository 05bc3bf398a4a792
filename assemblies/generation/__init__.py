"""Prompts to answers: what is read, how tokens are chosen, one by one or by drafts, and turn after turn."""

from vlmloom.assemblies.generation.processors import Sampling
from vlmloom.assemblies.generation.rows import Emission
from vlmloom.assemblies.generation.session import Session
from vlmloom.assemblies.generation.speculative import Acceptance
from vlmloom.assemblies.generation.stream import stream
from vlmloom.assemblies.generation.text import TextStream

__all__ = ["Acceptance", "Emission", "Sampling", "Session", "TextStream", "stream"]
