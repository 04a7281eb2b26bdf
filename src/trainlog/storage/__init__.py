"""The only place where the bytes of logs are read, appended to, or replaced."""
