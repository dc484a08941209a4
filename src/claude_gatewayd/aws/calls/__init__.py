"""Calls to AWS in a child that ends with the answer: a worker does not load AWS's SDK to keep keys fresh."""
