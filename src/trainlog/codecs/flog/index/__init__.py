"""The index of a large file: which frames are where."""
