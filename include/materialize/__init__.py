"""Having Airflow make assets anew: which ones, in which order, and for which days."""
