"""What whoever works on frauds wants to see: bounded questions to the warehouse, each answered by index."""
