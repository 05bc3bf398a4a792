"""Where answers are run and rendered: code in a jailed process, pages in a Chromium without network."""
