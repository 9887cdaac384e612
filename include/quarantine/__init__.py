"""What may happen to a record after it was refused: it is looked at, and it is driven through again."""
