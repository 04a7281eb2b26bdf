"""The dashboard: a server that looks at logs while they grow, and the page that it serves. See docs/dashboard.md.

::

    catalog   which logs there are below the served folders
    pump      keeps the logs that somebody looks at up to date, a little at a time
      log     one log: what is known of it so far, and the cursor after it
        feed      takes the new frames of a file of any format; flog_feed: of FLOG, by an index of its headers
        columns   the frames' values, column by column
          spool     ... on disk, so that memory does not grow with the log
    api, api_flog, stream   what is asked over HTTP;  query, curves, answers   how it is read, thinned and written
    security  who may ask
    app       all of it together

Needs the extra ``trainlog[server]``; nothing else imports it but its own verbs.
"""
