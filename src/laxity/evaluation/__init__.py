"""Quality, cost and reliability of an approximated model, and the one function that workers run."""
