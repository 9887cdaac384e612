"""The page in Airflow's navigation: how the lake and the frauds are doing, and a desk to work at."""
