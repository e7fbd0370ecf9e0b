//! Pure functions from a measured series to growth, verdict and gate.
