"""Order books, and the continuity rules of books and trades."""
