"""Images: files to tensors and back, noise, colors, and the bundled samples."""
