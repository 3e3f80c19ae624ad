"""Properties of molecules: accuracy on ESOL, time beside chemprop, memory of a long prediction."""
