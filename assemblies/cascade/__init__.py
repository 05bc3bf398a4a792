"""The cascade design: specialists turn pixels into text, a language model answers from the text."""
