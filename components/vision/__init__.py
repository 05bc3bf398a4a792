"""Vision towers: pictures to features."""
