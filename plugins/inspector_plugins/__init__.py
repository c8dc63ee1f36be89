"""The analyses that come with the inspector. They import what any plugin author imports, and nothing else."""
