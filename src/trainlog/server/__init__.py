"""The dashboard: a server that follows logs while they grow, and the page that it serves. See docs/dashboard.md.

::

    log_poller   keeps the logs that clients look at up to date, in time slices, from one thread
    api, api_runs, moment_api, path_api, stream, api_flog   the HTTP API; the last is that of the first dashboard
      query, responses   parsing requests and writing answers
      curves             rows of a log against an axis, thinned for a screen
        places             single frames on an axis, and the frame at a place there
      cards              the charts that the page shows first, and what it must know about each key
      openapi            the description for programs
    security     access control
    connections  the server that runs the application, with time limits for its clients
    app_state    what all requests share
    app          the addresses, errors, and the page's own files

`trainlog.catalog.live` finds the logs, and `trainlog.live_log` reads them. Needs the extra ``trainlog[server]``; only
``trainlog serve`` imports it.
"""
