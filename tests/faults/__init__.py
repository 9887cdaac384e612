"""What is killed, stopped, filled up, broken or wild, and what a user then finds; a package so that it has servers."""
