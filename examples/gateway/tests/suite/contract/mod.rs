//! The contract, line by line.

mod answers;
mod bodies;
mod cli;
mod degraded;
mod explained;
mod failures;
mod files;
mod guards;
mod keys;
mod roles;
mod routes;
mod told;
