"""What tests stand on: the real gateway and node host, a scripted model, an operator, the official schema."""
