"""The dashboard: a server that follows logs while they grow, and the page that it serves. See docs/dashboard.md.

::

    (which logs there are below the served folders: `trainlog.catalog.live`)
    log_poller   keeps the logs that somebody looks at up to date, in slices of time, from one thread
      log          one log: what was read of it so far, by scans that go on where the last one ended
        columns      the rows of one kind of frame, column by column ...
        column_file  ... on disk, so that memory does not grow with the log
        cursor       a place in a log that a client can come back to: the reader's positions
    api, api_runs, moment_api, stream, api_flog   what is asked over HTTP; api_flog as the first FLOG dashboard
      query, responses   how a request is read, and an answer written
      curves             rows of a log against an axis, thinned for a screen
        episode_axis       ... in logs of episodes, whose steps begin anew with each
        places             single frames on an axis, and the frame at a place there
      cards              which charts the page shows first, and what it has to know of each key
      openapi            the description for programs
    security     who may ask
    connections  how long a client may take
    app_state    what all requests share
    app          the addresses, errors, and the page's own files

No module here knows of any format: a log is followed by the scans of its reader. Needs the extra ``trainlog[server]``;
nothing imports it but ``trainlog serve``.
"""
