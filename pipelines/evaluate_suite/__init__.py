"""A suite's questions put to anything that answers: runs, endpoints, other people's models, policies."""
