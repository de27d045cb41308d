"""Types, registries, seeds, serialisation and errors that everything else builds on."""
