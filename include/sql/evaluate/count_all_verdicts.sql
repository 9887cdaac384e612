SELECT (SELECT count(*) FROM fraudtransaction) + (SELECT count(*) FROM genuinetransaction)
