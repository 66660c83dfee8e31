"""The study as a whole: notebooks, Snakemake and Slurm."""
