"""Memory: what a step takes, what is free, and processing an image in strips when it does not fit."""
