"""The whole platform: a plain Kafka client on one side, every layer checked to the row on the other.

One stack of its own runs under Airflow, with our generators off. The tests run in the order of their files: each is a
chapter of one story. Data arrives, it runs again and changes nothing, the topics are reset, more data arrives.
"""
