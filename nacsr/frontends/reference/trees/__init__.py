"""Decision trees whose nodes ask raw words and whose leaves are integers."""
