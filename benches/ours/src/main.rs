//! The workloads of the catalogue, as a user of this library states them. See `workloads` in the modules for each kind.

fn main() {}
