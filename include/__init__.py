"""Everything of Paylake that is not Airflow; importable as ``include`` wherever Airflow runs."""
