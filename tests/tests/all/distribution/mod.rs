//! Plugins from elsewhere: repositories, registries, and what hostile ones of them try.

mod forged;
mod hostile_registries;
mod hostile_repositories;
mod over_http;
mod registries;
mod repositories;
mod scene;
mod server;
