"""The contracts: the data that flows, and one abstract class a kind."""
