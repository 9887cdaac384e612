"""What every kind of stack shares: its commands, the steps of a start, first data, logs."""
