"""The mathematics of diffusion: schedules, denoisers and samplers. Pure functions; no files, no printing."""
