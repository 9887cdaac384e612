"""The assets: what each is, what it is made of, what its events tell, and whether it is up to date. Free of Airflow."""
