"""One frame's data to msgpack (encoding) and back (decoding), nested no deeper than ormsgpack accepts (depth)."""

from trainlog.codecs.frame_payload.decoding import decode, decode_flat, decode_list
from trainlog.codecs.frame_payload.encoding import encode, storable

__all__ = ["decode", "decode_flat", "decode_list", "encode", "storable"]
