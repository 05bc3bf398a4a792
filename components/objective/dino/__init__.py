"""Self-distillation without labels: crops, distortions, prototypes, losses, and the average that teaches."""
