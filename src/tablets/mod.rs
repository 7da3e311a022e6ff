//! The staff page and its server.
