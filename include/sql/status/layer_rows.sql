SELECT count(*), max({changed_at}) FROM {relation} WHERE {condition}
