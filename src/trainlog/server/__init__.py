"""The dashboard: a server that follows logs while they grow, and the page that it serves. See docs/dashboard.md.

::

    log_poller   keeps the logs that somebody looks at up to date, in slices of time, from one thread
    api, api_runs, moment_api, path_api, stream, api_flog   what is asked over HTTP; the last as the first dashboard did
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

Which logs there are `trainlog.catalog.live` says, and what is in one `trainlog.follow`. Needs the extra
``trainlog[server]``; nothing imports it but ``trainlog serve``.
"""
