"""What Airflow needs for Paylake and its providers lack: assets, operators, hooks and a trigger."""
