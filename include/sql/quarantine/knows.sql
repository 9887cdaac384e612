SELECT EXISTS (SELECT FROM ops.quarantine WHERE domain = %(domain)s)
    OR EXISTS (SELECT FROM ops.rejected_alarm WHERE domain = %(domain)s)
