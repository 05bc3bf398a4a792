"""Teachers: frozen, pretrained towers whose features are learned from."""
