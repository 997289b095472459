//! Games on their way from a spool directory into the store.
