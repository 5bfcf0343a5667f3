"""Generators: feed-forward networks that stylize any image in the one style they were trained for.

networks: the networks themselves. files: reading and writing them. data: the images they are trained on. tiles: large
images, piece by piece. onnx: the same networks for onnxruntime.
"""
