"""Where in a large file which frames are."""
