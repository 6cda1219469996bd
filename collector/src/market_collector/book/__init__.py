"""Books, and the rules that tell whether they and the trades are whole."""
