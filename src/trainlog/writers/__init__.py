"""Writers that pass frames on to other writers: Tee, Every, KeepLast, RetryingWriter, Background."""
