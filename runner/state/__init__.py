"""The state: what was last agreed on, in Delta tables; one file per backend."""
