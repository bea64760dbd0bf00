"""What a study shows: the front as a table, an interactive page and a picture for a talk."""
