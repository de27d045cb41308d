"""External design tools: found, run in a fenced folder, and their answers read; nothing here knows what a circuit is."""
