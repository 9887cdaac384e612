"""How a stack is: what every kind of stack shows of its stores and of Airflow, asked from themselves."""
