"""Where refused records are: their rows, the alarm that there are many, and how one gets into silver after all."""
