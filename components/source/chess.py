"""Chess: positions that legal moves lead to, and drawings of the pieces."""

from __future__ import annotations

from importlib import util
from random import Random

from vlmloom.components.contracts.sources import PositionSource, SourceMissing
from vlmloom.registry import register


@register("source/chess")
class Chess(PositionSource):
    """Positions of random games under the rules of chess, and python-chess's pieces.

    Reference: https://github.com/niklasf/python-chess
    """

    package = "PyPI chess"
    licence = "GPL-3.0 (the package and its drawings; install it, do not copy it)"

    def available(self) -> str | None:
        """None where python-chess is installed."""
        return None if util.find_spec("chess") else "source/chess: pip install chess (extra: chess)"

    def prepare(self) -> None:
        """Nothing: games are played when they are asked for."""

    def position(self, seed: int, moves: int) -> str:
        """The first field of the FEN after random legal moves, fewer where the game ends before.

        Raises:
            SourceMissing: python-chess is not installed.
        """
        self._needed()
        import chess

        random, board = Random(seed), chess.Board()
        for _ in range(moves):
            legal = sorted(board.legal_moves, key=str)
            if not legal:
                break
            board.push(legal[random.randrange(len(legal))])
        return board.board_fen()

    def piece(self, letter: str) -> str:
        """See `PositionSource.piece`.

        Raises:
            SourceMissing: python-chess is not installed.
        """
        self._needed()
        import chess
        import chess.svg

        return str(chess.svg.piece(chess.Piece.from_symbol(letter)))

    def _needed(self) -> None:
        missing = self.available()
        if missing:
            raise SourceMissing(missing)
