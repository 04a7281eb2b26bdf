"""Writers made of writers: to several, every n-th frame, retrying, in the background."""
