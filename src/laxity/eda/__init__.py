"""External design tools: found, run in a fenced folder, answers read; nothing here knows what a circuit is."""
