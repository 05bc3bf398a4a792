"""The reward service: verifiers over HTTP."""
