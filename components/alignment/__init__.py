"""Image-text alignment: pooled features of both sides into one space, and the loss there."""
