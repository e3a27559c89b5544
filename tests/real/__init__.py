"""The bridge in front of the real gateway 2026.9.6: what the product promises, end to end."""
