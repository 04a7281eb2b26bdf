"""The bytes of FLOG: layout, header, payloads."""
